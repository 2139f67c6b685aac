import { createInterface } from "node:readline"
import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { say } from "./output.ts"
import { visible } from "./visible.ts"

/** What cannot be undone needs a yes: on a terminal a person is asked, elsewhere `--yes` says it. */

/** Fails where nobody can be asked: the question goes to stderr, and the answer comes from stdin. */
export const refuseUnasked = (
  isAllowed: boolean,
  message: string,
): Effect.Effect<void, ConfigurationError> =>
  isAllowed || (process.stdin.isTTY === true && process.stderr.isTTY === true)
    ? Effect.void
    : new ConfigurationError({ message })

/** Asks the person at the terminal; anything but `y` or `yes` is a no. `refusal` is said where Ctrl-C ends the question. */
export const isConfirmed = (question: string, refusal: string): Effect.Effect<boolean> =>
  Effect.async<boolean>(resume => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    terminal.on("close", () => resume(Effect.succeed(false)))
    // The interface keeps Ctrl-C for itself: there is no signal.
    terminal.on("SIGINT", () => {
      resume(Effect.zipRight(say(`\n${refusal}`), Effect.interrupt))
      terminal.close()
    })
    terminal.question(`${visible(question)} [y/N] `, answer => {
      resume(Effect.succeed(/^y(es)?$/i.test(answer.trim())))
      terminal.close()
    })
    return Effect.sync(() => terminal.close())
  })
