import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, sandboxEnvironment } from "../support/cli.ts"
import { givenServer } from "../support/givenServer.ts"
import { runSql } from "../support/postgres.ts"
import { SMALL } from "../support/warehouse.ts"

/** Postgres' number of the encoding LATIN1. */
const LATIN1 = 8

describe("a database that cannot hold every character", () => {
  it.scopedLive(
    "is refused by migrate; where an older version made a warehouse in it, a character costs its record only",
    () =>
      Effect.gen(function* () {
        const { ownerUrl, readerUrl, adminUrl } = yield* givenServer("14")
        const sandbox = yield* start(SMALL)
        const program = yield* cli({
          ...sandboxEnvironment(sandbox),
          DATABASE_URL: Redacted.value(ownerUrl),
          PAYCOMBAT_READER_URL: Redacted.value(readerUrl),
        })
        expect((yield* program.run(["migrate"])).code).toBe(0)
        const database = new URL(Redacted.value(ownerUrl)).pathname.slice(1)
        const recode = `UPDATE pg_database SET encoding = ${LATIN1} WHERE datname = '${database}'`
        yield* Effect.promise(() => runSql(adminUrl, recode))
        const refused = yield* program.run(["migrate"])
        expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/LATIN1.*ENCODING 'UTF8'/)])

        const synced = yield* program.run(["sync", "--stream", "customers", "--json"])
        const { streams } = JSON.parse(synced.stdout) as {
          streams: ReadonlyArray<{ stream: string; inserted: number; rejected: number }>
        }
        const { inserted, rejected } = streams[0]!
        expect(inserted).toBeGreaterThan(0)
        expect(inserted + rejected).toBe(sandbox.truth.count("customers"))
        // Some of the sandbox's customers have names in other scripts. They are kept as they were sent.
        const rows = yield* Effect.promise(() => runSql(ownerUrl, "SELECT raw FROM sync.rejects"))
        expect(rows.length).toBe(rejected)
        expect(rejected).toBeGreaterThan(0)
        for (const { raw } of rows) {
          const sent = JSON.stringify(JSON.parse(raw))
          expect(Math.max(...Array.from(sent, character => character.codePointAt(0)!))).toBeGreaterThan(0xff)
        }
      }),
    120_000,
  )
})
