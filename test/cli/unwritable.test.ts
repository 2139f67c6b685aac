import { open } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start as startSandbox } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"

/** Tests commands that cannot write their output, as on a full disk. */

/** A file that refuses writes, because it is open for reading only. */
const unwritable = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => open(fileURLToPath(import.meta.url), "r")),
    file => Effect.promise(() => file.close()),
  ),
  ({ fd }) => fd,
)

describe("output that cannot be written", () => {
  it.scopedLive("fails the command in one line if it is the answer", () =>
    Effect.gen(function* () {
      const { run } = yield* cli()
      const stdout = yield* unwritable
      for (const args of [["--help"], ["sandbox", "--help"]]) {
        const { code, stderr } = yield* run(args, {}, { stdout })
        expect(code).toBe(1)
        expect(stderr).toMatch(
          /^The answer could not be written \([A-Z]+\): make room .*, or write it elsewhere, and ask again\.\n$/,
        )
      }
    }),
  )

  it.scopedLive("does not end the command if it is the log", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const { run } = yield* cli({
        ...sandboxEnvironment(yield* startSandbox(SMALL)),
        ...databaseEnvironment(ownerUrl),
      })
      const stderr = yield* unwritable
      const { code, stdout } = yield* run(["sync", "--stream", "payouts", "--json"], {}, { stderr })
      expect([code, JSON.parse(stdout)]).toMatchObject([0, { status: "complete" }])
    }),
  )
})
