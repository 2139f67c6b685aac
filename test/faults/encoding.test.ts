import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DEFAULT_LIST_PATHS, start } from "../../src/sandbox/Sandbox.ts"
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
        const { ownerUrl, readerUrl, adminUrl } = yield* givenServer("18")
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

        sandbox.setFault(({ path }) =>
          path === DEFAULT_LIST_PATHS.customers
            ? { transform: body => body.replace(/"first_name":"[^"]*"/, '"first_name":"漢字"') }
            : undefined,
        )
        const synced = yield* program.run(["sync", "--stream", "customers", "--json"])
        const { streams } = JSON.parse(synced.stdout) as {
          streams: ReadonlyArray<{ stream: string; inserted: number; rejected: number }>
        }
        const pages = streams[0]!.rejected
        expect(pages).toBeGreaterThan(0)
        expect(streams[0]!.inserted).toBe(sandbox.truth.count("customers") - pages)
        const rows = yield* Effect.promise(() => runSql(ownerUrl, "SELECT raw FROM sync.rejects"))
        expect(rows.map(({ raw }) => JSON.parse(raw).first_name)).toEqual(rows.map(() => "漢字"))
      }),
    120_000,
  )
})
