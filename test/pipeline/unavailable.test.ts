import { describe, expect, it } from "@effect/vitest"
import { primaryKey, text } from "drizzle-orm/pg-core"
import { Effect, Schema } from "effect"
import { Amount, Id, Text } from "../../src/core/fields.ts"
import { defineStream, isList, type Stream } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import type { FaultRequest } from "../../src/sandbox/sandbox.ts"
import type { RunSummary } from "../../src/warehouse/ledger/summary.ts"
import { verdictsOf } from "../../src/warehouse/read/verdict.ts"
import { amount, recordColumns, stateColumns, warehouse } from "../../src/warehouse/schema/columns.ts"
import { examined } from "../doctor/support.ts"
import { streamOf, syncedBench } from "../support/warehouse.ts"

/** Optional streams whose endpoint a token does not have: a list and a look-up, each with two candidate paths. */

const badgeTable = warehouse.table(
  "badges",
  { ...recordColumns(), badgeId: text("badge_id").notNull(), label: text("label").notNull() },
  table => [primaryKey({ columns: [table.account, table.badgeId] })],
)

const badges = defineStream({
  name: "badges",
  isOptional: true,
  version: 1,
  source: {
    kind: "list",
    paths: ["/api/v1/badge/get-all", "/api/v1/badge"],
    idField: "badge_id",
    recognizes: record => "label" in record,
    merchantField: null,
    detail: null,
  },
  table: badgeTable,
  idColumn: "badge_id",
  personal: { plain: { badge_id: "id", label: "code" } },
  record: Schema.Struct({ badge_id: Id, label: Text }),
  normalize: badge => ({ row: badge, sourceUpdatedAt: null }),
})

const levelTable = warehouse.table(
  "levels",
  { ...stateColumns(), currency: text("currency").notNull(), level: amount("level") },
  table => [primaryKey({ columns: [table.account, table.currency] })],
)

const levels = defineStream({
  name: "levels",
  isOptional: true,
  version: 1,
  source: {
    kind: "lookup",
    keys: [{ stream: "transactions", column: "currency" }],
    first: "oldest",
    paths: key => [`/api/v1/level/${key}`, `/api/v1/levels/${key}`],
    keyField: "currency",
    idField: "currency",
    answer: { kind: "state" },
    recheck: {
      pace: "each run",
      afterChange: false,
      maxAge: { variable: "LEVELS_RECHECK", otherwise: "0 hours" },
    },
    maxCalls: { variable: "LEVELS_MAX_CALLS", otherwise: null },
  },
  table: levelTable,
  idColumn: "currency",
  personal: { plain: { currency: "code", level: "amount" } },
  record: Schema.Struct({ currency: Text, level: Amount }),
  normalize: row => ({ row, sourceUpdatedAt: null }),
})

const CREATE = `
  CREATE TABLE warehouse.badges (
    account text, raw jsonb NOT NULL, content_hash text NOT NULL, source_updated_at timestamptz, read_at timestamptz NOT NULL,
    first_seen_at timestamptz NOT NULL, run_id uuid NOT NULL, removed_at timestamptz,
    badge_id text, label text NOT NULL, PRIMARY KEY (account, badge_id));
  CREATE TABLE warehouse.levels (
    account text, currency text, level numeric, checked_at timestamptz NOT NULL, changed_at timestamptz, check_error text,
    raw jsonb, run_id uuid NOT NULL, answered_at timestamptz, answered_run_id uuid, PRIMARY KEY (account, currency));
  CREATE VIEW analytics.badge AS SELECT account, badge_id FROM warehouse.badges;
  CREATE VIEW analytics.badge_count AS SELECT account, count(*) AS badges FROM analytics.badge GROUP BY account`

const OPTIONAL: ReadonlyArray<Stream> = [badges, levels]
const isOptionalPath = (path: string) => /^\/api\/v1\/(badge|levels?)(\/|$)/.test(path)

const answerOf = ({ path, query }: FaultRequest) => {
  const head = "/api/v1/levels/"
  if (path.startsWith(head)) return { body: { status: true, data: { level: 1 } } }
  if (path !== "/api/v1/badge") return undefined
  const all = Array.from({ length: 3 }, (_, n) => ({ badge_id: `badge-${n}`, label: "GOLD" }))
  const [page, limit] = [Number(query.get("page") ?? 1), Number(query.get("limit") ?? 10)]
  return { body: { status: true, data: all.slice((page - 1) * limit, page * limit) } }
}

/** A warehouse that has read the core lists, without the tables' rows of the optional streams. */
const setup = Effect.gen(function* () {
  const given = yield* syncedBench({ transactions: 40 }, { only: ["customers", "transactions"] })
  yield* Effect.promise(() => given.sql.unsafe(CREATE))
  const sync = (options: { readonly full?: boolean; readonly streams?: ReadonlyArray<Stream> } = {}) =>
    Effect.gen(function* () {
      given.sandbox.resetRequests()
      const run = yield* given.sync({ streams: OPTIONAL, ...options })
      const asked = given.sandbox.requests.recent.filter(({ path }) => isOptionalPath(path)).length
      return { run, asked, total: given.sandbox.requests.total }
    })
  return { ...given, look: sync }
})

const outcomes = (run: RunSummary) => OPTIONAL.map(({ name }) => streamOf(run, name).status)
const NOWHERE = ["complete", "complete"]
const FAILED = ["failed", "failed"]

describe("an optional stream that this token does not have", () => {
  it.scopedLive(
    "fails no run, is named once with its views, and is looked for by the next full pass only",
    () =>
      Effect.gen(function* () {
        const { sql, sandbox, look, rows } = yield* setup
        const first = yield* look()
        expect(outcomes(first.run)).toEqual(NOWHERE)
        expect(first.run.status).toBe("complete")
        const note = streamOf(first.run, "badges").note!
        expect(note).toContain("404: /api/v1/badge/get-all, /api/v1/badge")
        expect(note).toContain("set PAYCOMBAT_PATH_BADGES")
        expect(note).toContain("for that reason: badge, badge_count.")
        expect(streamOf(first.run, "levels").note).toContain(
          "404 or 403: /api/v1/level/{id}, /api/v1/levels/{id}",
        )
        const [verdict] = yield* verdictsOf(sql, { streams: ["badges", "levels"] })
        expect(verdict).toMatchObject({
          level: "good",
          findings: [
            { level: "good", stream: "badges", kind: "not_available", text: note },
            { level: "good", stream: "levels", kind: "not_available" },
          ],
        })
        expect(
          yield* rows(
            "SELECT * FROM sync.lookup_keys UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, run_id FROM sync.due_keys",
          ),
        ).toEqual([])

        sandbox.setFault(answerOf)
        expect(yield* look()).toMatchObject({ total: 0, run: { status: "complete" } })
        expect(outcomes((yield* look({ full: true })).run)).toEqual(NOWHERE)
        expect(yield* rows("SELECT count(*) FROM analytics.badge")).toEqual([{ count: "3" }])
        expect(yield* rows("SELECT stream FROM sync.unavailable")).toEqual([])

        sandbox.setFault(null)
        const gone = yield* look({ full: true })
        expect(outcomes(gone.run)).toEqual(FAILED)
        expect(streamOf(gone.run, "badges").error).toContain("it was read before, and is gone")
        expect(yield* rows("SELECT count(*) FROM analytics.badge")).toEqual([{ count: "3" }])
      }),
  )

  it.scopedLive(
    "fails where nothing else answers, where the token is refused, and where a path answers otherwise",
    () =>
      Effect.gen(function* () {
        const { sandbox, look } = yield* setup
        sandbox.setFault(() => ({ status: 403, body: { message: "no" } }))
        expect(outcomes((yield* look()).run)).toEqual(FAILED)
        sandbox.setFault(({ path }) =>
          isOptionalPath(path) ? { status: 401, body: { message: "no" } } : undefined,
        )
        expect(outcomes((yield* look()).run)).toEqual(FAILED)
        sandbox.setFault(({ path }) =>
          path.startsWith("/api/v1/badge/") || path.startsWith("/api/v1/level/")
            ? { status: 400, body: { message: "no" } }
            : undefined,
        )
        expect(outcomes((yield* look()).run)[0]).toBe("failed")
        sandbox.setFault(({ path }) =>
          isOptionalPath(path) ? { status: 403, body: { message: "no" } } : undefined,
        )
        expect(outcomes((yield* look()).run)).toEqual(NOWHERE)
      }),
  )

  it.scopedLive("is a failure if it is a core list, in a first run too", () =>
    Effect.gen(function* () {
      const { sql, sandbox, sync, look } = yield* setup
      yield* Effect.promise(() => sql`TRUNCATE sync.contracts, sync.stream_runs`)
      const core = (yield* allStreams).filter(({ name }) => ["customers", "wallets"].includes(name))
      sandbox.setFault(({ path }) =>
        path.includes("/wallet") ? { status: 404, body: { message: "no" } } : undefined,
      )
      const run = yield* sync({ streams: [...OPTIONAL, ...core] })
      expect(streamOf(run, "wallets").status).toBe("failed")
      expect(streamOf(run, "customers").status).toBe("complete")
      expect(streamOf(run, "badges")).toMatchObject({ status: "complete" })
      expect((yield* look()).total).toBe(0)
      expect(core.every(stream => isList(stream) && !stream.isOptional)).toBe(true)
    }),
  )

  it.scopedLive("is no fault to doctor, unless the core lists are not there either", () =>
    Effect.gen(function* () {
      const { sandbox } = yield* setup
      const lines = Effect.map(examined(sandbox, { streams: [...OPTIONAL] }), ({ checks }) =>
        checks.flatMap(({ level, stream, message }) =>
          stream === "badges" || stream === "levels" ? [`${level} ${stream} ${message}`] : [],
        ),
      )
      expect(yield* lines).toEqual([
        expect.stringMatching(/^pass badges is not available to this token: no list found \(404: /),
        expect.stringMatching(/^pass levels is not available to this token: no look-up found /),
      ])
      sandbox.setFault(() => ({ status: 403, body: { message: "no" } }))
      expect((yield* lines).every(line => !line.startsWith("pass"))).toBe(true)
    }),
  )
})
