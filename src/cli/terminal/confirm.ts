import { createInterface } from "node:readline"
import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { say } from "./output.ts"
import { visible } from "./visible.ts"

/** Asks for confirmation of irreversible work: on a terminal by a question, elsewhere by `--yes`. */

/** Fails if there is no terminal to ask at. The question goes to stderr, and the answer comes from stdin. */
export const refuseUnasked = (
  isAllowed: boolean,
  message: string,
): Effect.Effect<void, ConfigurationError> =>
  isAllowed || (process.stdin.isTTY === true && process.stderr.isTTY === true)
    ? Effect.void
    : new ConfigurationError({ message })

/** Asks at the terminal. Any answer other than `y` or `yes` means no. Ctrl-C prints `refusal` and interrupts. */
export const isConfirmed = (question: string, refusal: string): Effect.Effect<boolean> =>
  Effect.async<boolean>(resume => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    terminal.on("close", () => resume(Effect.succeed(false)))
    // The readline interface consumes Ctrl-C, so no signal arrives.
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
