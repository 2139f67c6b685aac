import { readFileSync } from "node:fs"
import { rename } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, Option, type Redacted } from "effect"
import { backup, http, restore, syncWith, Warehouse, warehouse } from "../src/app.ts"
import { ConfigurationError } from "../src/core/errors.ts"
import { KEEP } from "../src/core/privacy.ts"
import { connect } from "../src/postgres/connect.ts"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import { allStreams } from "../src/registry.ts"
import { start } from "../src/sandbox/sandbox.ts"
import { scratchDataDir } from "./support/embedded.ts"
import { PROJECT } from "./support/package.ts"
import { resolveFrom, runSql } from "./support/postgres.ts"
import { slow } from "./support/slow.ts"
import { accountOf, SMALL } from "./support/warehouse.ts"

/**
 * Follows the major upgrade of the embedded Postgres in docs/deploy.md. History that the API cannot return must be there
 * afterwards. The "version before" is this one with the oldest supported Postgres.
 */

/** Two clusters are made, which takes its time on a machine with other work. */
const TIME_LIMIT_MILLIS = 180_000
const FAST = { settings: { fsync: "off" } }

const RUN = {
  lookups: {},
  leaseSeconds: 30,
  privacy: KEEP,
  full: false,
}

/** History that only the warehouse has: the times when it saw each state. */
const HISTORY = `
  SELECT 'balances' AS what, count(*)::int AS n, md5(string_agg(s::text, ',' ORDER BY s::text)) AS content FROM warehouse.wallet_balance_snapshots s
  UNION ALL SELECT 'payouts', count(*)::int, md5(string_agg(p::text, ',' ORDER BY p::text)) FROM warehouse.payout_status_history p
  UNION ALL SELECT 'settled', count(*)::int, md5(string_agg(s::text, ',' ORDER BY s::text)) FROM warehouse.settlement_history s
  UNION ALL SELECT 'readiness', count(*)::int, md5(string_agg(r::text, ',' ORDER BY r::text)) FROM warehouse.wallet_readiness_history r
  UNION ALL SELECT 'runs', count(*)::int, md5(string_agg(r::text, ',' ORDER BY r::text)) FROM sync.runs r`

/** As one statement: the session's time zone is part of what a row looks like, and Postgres' own is UTC in both. */
const historyOf = (url: Redacted.Redacted) => Effect.promise(() => runSql(url, HISTORY))

describe("the major upgrade of the embedded Postgres", () => {
  slow(() => {
    it.scopedLive(
      "is refused on the old files, and keeps all history through a backup",
      () =>
        Effect.gen(function* () {
          const sandbox = yield* start(SMALL)
          const dataDir = yield* scratchDataDir
          const file = join(dataDir, "before-upgrade.gz")
          const settings = { ...RUN, accounts: [accountOf(sandbox)], streams: yield* allStreams }

          const before = yield* Effect.scoped(
            Effect.gen(function* () {
              const { ownerUrl } = yield* embeddedPostgres(dataDir, {
                ...FAST,
                resolveFrom: resolveFrom("14"),
              })
              const sql = yield* connect(ownerUrl)
              const old = { sql, isEmbedded: true, readerUrl: Option.none(), ownerUrl }
              yield* Effect.provideService(syncWith(settings, true), Warehouse, old)
              // Rows that people edit, and rows that cannot be read again.
              yield* Effect.promise(() =>
                runSql(
                  ownerUrl,
                  `UPDATE warehouse.event_directions SET direction = -1 WHERE event_type = 'RESERVE';
                 UPDATE warehouse.payout_status_history SET first_seen_at = '2020-02-02 02:02:02.000002+00'`,
                ),
              )
              yield* Effect.provideService(backup(file), Warehouse, old)
              return yield* historyOf(ownerUrl)
            }),
          )
          expect(before.every(({ n }) => n > 0)).toBe(true)

          const configured = warehouse({ url: Option.none(), dataDir, readerUrl: Option.none() })
          const refused = yield* Effect.flip(Effect.provide(Effect.void, configured))
          expect(refused).toBeInstanceOf(ConfigurationError)
          expect(refused.message).toContain("was made by Postgres 14")
          expect(refused.message).toContain("database backup FILE")

          yield* Effect.promise(() => rename(join(dataDir, "postgres"), join(dataDir, "postgres.old")))
          yield* Effect.gen(function* () {
            yield* restore(file)
            const { ownerUrl } = yield* Warehouse
            expect(yield* historyOf(ownerUrl)).toEqual(before)
            const [kept] = yield* Effect.promise(() =>
              runSql(
                ownerUrl,
                `SELECT current_setting('server_version_num')::int / 10000 AS major,
                 (SELECT direction::int FROM warehouse.event_directions WHERE event_type = 'RESERVE' AND event_name = '*') AS direction`,
              ),
            )
            expect(kept).toEqual({ major: 18, direction: -1 })
            const next = yield* syncWith(settings)
            expect(next.status).toBe("complete")
            for (const { stream, inserted, updated } of next.streams)
              if (stream !== "wallet_readiness") expect([stream, inserted, updated]).toEqual([stream, 0, 0])
          }).pipe(Effect.provide(configured))
        }).pipe(Effect.provide(http), Logger.withMinimumLogLevel(LogLevel.None)),
      TIME_LIMIT_MILLIS,
    )
  })

  it("follows the steps of the page in their order", () => {
    const page = readFileSync(join(PROJECT, "docs/deploy.md"), "utf8")
    const steps = page.split("## Major upgrade")[1]!.split("\n## ")[0]!
    const [onHost = "", inContainer = ""] = steps.split("In a container:")
    const isInOrder = (text: string, ...wanted: ReadonlyArray<string>) => {
      const order = wanted.map(step => text.indexOf(step))
      expect(order[0]).toBeGreaterThan(0)
      expect(order).toEqual([...order].sort((a, b) => a - b))
    }
    isInOrder(
      onHost,
      "systemctl stop",
      "database backup",
      "mv /var/lib",
      "database restore",
      "systemctl start",
    )
    isInOrder(
      inContainer,
      "docker stop",
      "database backup",
      "docker build",
      "--entrypoint mv",
      "database restore",
    )
  })
})
