import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { cli, databaseEnvironment, hasTerminals, linesOf } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED, printed } from "../support/warehouse.ts"

/**
 * Tests `database restore` as users run it: it deletes nothing without a confirmation, and a mistake creates
 * no database.
 */

const filled = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
  const sql = yield* connect(ownerUrl)
  const program = yield* cli(databaseEnvironment(ownerUrl))
  const file = join(program.directory, "warehouse.backup")
  const set = (seconds: number) =>
    Effect.promise(
      () => sql`INSERT INTO warehouse.account_settings (account, max_age_seconds) VALUES ('default', ${seconds})
        ON CONFLICT (account) DO UPDATE SET max_age_seconds = excluded.max_age_seconds`,
    )
  yield* set(1)
  expect((yield* program.run(["database", "backup", file])).code).toBe(0)
  yield* set(2)
  const kept = Effect.map(
    printed(sql, "SELECT max_age_seconds AS seconds FROM warehouse.account_settings"),
    rows => rows.map(({ seconds }) => Number(seconds)),
  )
  return { program, file, kept }
})

describe("database restore", () => {
  it.scopedLive("--replace is refused without a terminal and --yes", () =>
    Effect.gen(function* () {
      const { program, file, kept } = yield* filled
      const refused = yield* program.run(["database", "restore", file, "--replace"])
      expect([refused.code, refused.stdout, linesOf(refused.stderr)]).toEqual([
        2,
        "",
        [expect.stringMatching(/^Nothing was restored\. .*add --yes/)],
      ])
      expect(yield* kept).toEqual([2])
      expect((yield* program.run(["database", "restore", file, "--replace", "--yes"])).code).toBe(0)
      expect(yield* kept).toEqual([1])
    }),
  )

  // Skipped, and counted as skipped, if no terminal can be created. On Linux `script` of util-linux creates
  // one.
  it.scopedLive.skipIf(!hasTerminals)(
    "--replace asks first on a terminal, and shows the file's name safely",
    () =>
      Effect.gen(function* () {
        const { program, file, kept } = yield* filled
        const asked = yield* program.onTerminal(["database", "restore", file, "--replace"])
        yield* asked.printed("It cannot be undone. [y/N]")
        yield* asked.type("\r")
        expect(yield* asked.ended).toMatchObject({
          code: 0,
          stdout: expect.stringContaining("Nothing was restored."),
        })
        expect(yield* kept).toEqual([2])
        const agreed = yield* program.onTerminal(["database", "restore", file, "--replace"])
        yield* agreed.printed("[y/N]")
        yield* agreed.type("y\r")
        expect((yield* agreed.ended).code).toBe(0)
        expect(yield* kept).toEqual([1])
      }),
  )

  it.scopedLive("creates no database if the file is missing, is not a file, or is not a backup", () =>
    Effect.gen(function* () {
      const { run, directory } = yield* cli()
      mkdirSync(join(directory, "folder"))
      writeFileSync(join(directory, "text"), "no backup")
      writeFileSync(join(directory, "other.gz"), gzipSync("no backup\n"))
      for (const args of [["gone"], ["folder"], ["text"], ["other.gz"], ["other.gz", "--replace", "--yes"]]) {
        const { code, stdout, stderr } = yield* run(["database", "restore", ...args])
        expect([args, code, stdout, linesOf(stderr)]).toEqual([
          args,
          2,
          "",
          [expect.stringContaining(args[0]!)],
        ])
      }
      expect(existsSync(join(directory, ".paycombat"))).toBe(false)
    }),
  )
})
