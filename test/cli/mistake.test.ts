import * as NodeContext from "@effect/platform-node/NodeContext"
import { expect, it } from "@effect/vitest"
import { Console, Effect, Exit } from "effect"
import { vi } from "vitest"
import { exitCodeOf, main } from "../../src/cli/cli.ts"

/** A console that breaks as no part of the program expects. */
const broken = Effect.map(Console.consoleWith(Effect.succeed), console => ({
  ...console,
  log: () => Effect.die(new TypeError("an unexpected defect")),
}))

it.effect(
  "a defect of the program is printed with its stack, and with the request to report it at the end",
  () =>
    Effect.gen(function* () {
      const error = vi.spyOn(console, "error").mockImplementation(() => undefined)
      const help = main(["node", "paycombat-sync", "query", "--help"])
      const exit = yield* Effect.exit(Console.withConsole(help, yield* broken))
      const lines = error.mock.calls.join("\n").split("\n")
      error.mockRestore()
      expect(Exit.isFailure(exit) && exitCodeOf(exit, "SIGINT")).toBe(1)
      expect(lines[0]).toContain("an unexpected defect")
      expect(lines.some(line => line.includes("mistake.test.ts"))).toBe(true)
      expect(lines.at(-1)).toBe("This is a defect of paycombat-sync: please report it with the lines above.")
    }).pipe(Effect.provide(NodeContext.layer)),
)
