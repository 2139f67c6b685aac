import { randomBytes } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { directionsOf } from "../../src/warehouse/read/checkup.ts"
import { runSql, testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { truthOf } from "../support/truth/truth.ts"
import { MIGRATED, printed, SMALL, syncOnce, testWarehouse } from "../support/warehouse.ts"
import { examined, linesOf, reportOf, troubles } from "./support.ts"

/** Tests the examination of a database beside a healthy API. */

const TOKEN = "token-Qwertz-0123456789"

const sandboxOf = start({ ...SMALL, token: TOKEN })

const sqlOn = (url: Redacted.Redacted, statements: string) => Effect.promise(() => runSql(url, statements))

/** Each table but the leases with its rows and when they were written, and all grants: what must not change. */
const stateOf = (url: Redacted.Redacted) =>
  sqlOn(
    url,
    `SELECT c.oid::regclass::text AS name, c.relacl::text AS acl,
       CASE WHEN c.relkind = 'r' THEN (xpath('//v/text()', query_to_xml(format(
         'SELECT string_agg(ctid || '' '' || xmin || '' '' || xmax, '','' ORDER BY ctid) AS v FROM %s', c.oid::regclass), false, true, '')))[1]::text END AS rows
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('warehouse', 'sync', 'analytics') AND c.oid <> 'sync.leases'::regclass ORDER BY 1`,
  )

describe.concurrent("a database that is up to date", () => {
  it.scopedLive("passes every check, and stays unchanged", () =>
    Effect.gen(function* () {
      const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
      const sandbox = yield* sandboxOf
      const sql = yield* connect(ownerUrl)
      yield* syncOnce(sql, sandbox, { only: ["payouts", "transactions"] })
      const before = yield* stateOf(ownerUrl)
      expect(before.some(({ rows }) => String(rows).length > 100)).toBe(true)
      const examination = yield* examined(sandbox, { database: ownerUrl, reader: readerUrl })
      expect(yield* stateOf(ownerUrl)).toEqual(before)
      expect(troubles(examination)).toEqual([
        // The servers of tests do without.
        expect.stringMatching(/^warn {2}durability: fsync is off/),
      ])
      expect(linesOf(examination, "database version")[0]).toMatch(/^pass Postgres 18/)
      expect(linesOf(examination, "migrations")).toEqual(["pass the database is up to date."])
      expect(linesOf(examination, "reader login")).toEqual(["pass may read analytics and nothing else."])
      expect(linesOf(examination, "directions")).toEqual([
        "pass every event type of the sample has one.",
        expect.stringMatching(/^pass assumed until a person confirms them: .*PAYIN/),
      ])
    }),
  )

  it.scopedLive("asks the API about no account that a run holds, after waiting for it for a while", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const sandbox = yield* sandboxOf
      const holdFor = (time: string) =>
        sqlOn(
          ownerUrl,
          `INSERT INTO sync.leases (account, stream, fence, run_id, holder, acquired_at, expires_at)
           VALUES ('default', '*', 1, gen_random_uuid(), 'another', now(), now() + '${time}')
           ON CONFLICT (account, stream) DO UPDATE SET expires_at = excluded.expires_at, holder = excluded.holder,
             run_id = excluded.run_id`,
        )
      yield* holdFor("1 hour")
      const refused = yield* examined(sandbox, { database: ownerUrl, only: ["payouts"] })
      expect(linesOf(refused, "API")).toEqual([
        expect.stringMatching(/^warn was not asked: account default is being synced by another/),
      ])
      expect(sandbox.requests.total).toBe(0)
      yield* holdFor("1 second")
      const examination = yield* examined(sandbox, { database: ownerUrl, only: ["payouts"] })
      expect(linesOf(examination, "list", "payouts")[0]).toMatch(/^pass /)
      const leases = "SELECT 1 AS one FROM sync.leases WHERE expires_at > clock_timestamp()"
      expect(yield* sqlOn(ownerUrl, leases)).toEqual([])
    }),
  )

  slow(() => {
    it.scopedLive("names a list that syncs have read differently", () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* sandboxOf
        yield* sqlOn(
          ownerUrl,
          `INSERT INTO sync.contracts (account, stream, path, is_verified, contract, found_at)
         VALUES ('default', 'payouts', '/old', true, '{"path":"/old","pageParam":"page","sizeParam":"limit","firstPage":1,"at":"data","pageSize":100,"maxPageSize":null,"hasTotal":false,"pagingProven":true,"verified":true}', now())`,
        )
        const examination = yield* examined(sandbox, { database: ownerUrl, only: ["payouts"] })
        expect(linesOf(examination, "list", "payouts")).toEqual([
          expect.stringMatching(/^pass \/api\/v1\/payout\/get-all/),
          expect.stringMatching(/^warn syncs have read it differently so far: \/old, by page,limit/),
        ])
      }),
    )
  })

  slow(() => {
    it.scopedLive("fails if a sync would: records of other merchants, and of several in a first pass", () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* sandboxOf
        const merchants = (account?: { readonly merchants: ReadonlyArray<string> }) =>
          Effect.map(
            examined(sandbox, { database: ownerUrl, only: ["payouts"], ...(account && { account }) }),
            examination => linesOf(examination, "merchants"),
          )
        expect(yield* merchants()).toEqual([])
        sandbox.patch("payouts", 1, { merchant_id: "merchant_other" })
        expect(yield* merchants()).toEqual([
          expect.stringMatching(/^fail records of more than one merchant_id: .*merchant_other/),
        ])
        sandbox.patch("payouts", 1, { merchant_id: null })
        const sql = yield* connect(ownerUrl)
        yield* syncOnce(sql, sandbox, { only: ["payouts"] })
        sandbox.patch("payouts", 1, { merchant_id: "merchant_other" })
        expect(yield* merchants()).toEqual([
          expect.stringMatching(
            /^warn some records of another merchant_id than this account's: merchant_other/,
          ),
        ])
        expect(yield* merchants({ merchants: ["merchant_other"] })).toEqual([])
        yield* sqlOn(ownerUrl, "UPDATE warehouse.payouts SET merchant_id = 'merchant_stored'")
        expect(yield* merchants()).toEqual([
          expect.stringMatching(/^fail every record of another merchant_id .* A sync fails, and stores none/),
        ])
      }),
    )
  })

  it.scopedLive(
    "names event types without a direction, and accepts a person's directions for the others",
    () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* sandboxOf
        for (let n = 0; n < 10; n++)
          sandbox.patch("transactions", n, { event_type: n < 7 ? "TOPUP" : "GIFT" })
        sandbox.patch("transactions", 20, { event_type: "odd\u0000one" })
        yield* sqlOn(
          ownerUrl,
          "INSERT INTO warehouse.event_directions (event_type, event_name, direction) VALUES ('GIFT', '*', 1)",
        )
        // Rules are applied to stored kinds of transactions: types and names as a sync would have stored them.
        const stored = [...truthOf(sandbox).transactions()].map(({ eventName }) => eventName)
        yield* sqlOn(
          ownerUrl,
          `INSERT INTO warehouse.transaction_kinds (account, currency, fee_currency, event_type, event_name, is_negative)
           SELECT DISTINCT 'default', 'EUR', 'EUR', type, name, is_negative
           FROM unnest('{TOPUP,GIFT,PAYIN,PAYOUT,REFUND,CHARGEBACK,RESERVE,RELEASE,CREDIT,DEBIT,ADJUSTMENT}'::text[]) AS type,
             unnest('{${stored.join(",")}}'::text[]) AS name, unnest('{true,false}'::boolean[]) AS is_negative`,
        )
        const examination = yield* examined(sandbox, { database: ownerUrl, only: ["transactions"] })
        const lines = linesOf(examination, "directions")
        expect(lines).toContainEqual(
          expect.stringMatching(
            /^warn TOPUP has none in \d of 7 records .*directions set TYPE NAME DIRECTION/,
          ),
        )
        expect(lines.filter(line => line.startsWith("warn") && line.includes("GIFT"))).toEqual([])
        const gift = reportOf(examination, "transactions").money!.events.find(
          ({ eventType }) => eventType === "GIFT",
        )!
        expect(gift.directions).toContain(1)
      }),
  )
})

describe.concurrent("directions", () => {
  it.scopedLive("are those of the view that settlements and balances read", () =>
    Effect.gen(function* () {
      const sql = yield* testWarehouse()
      const events = [
        "PAYIN",
        "PAYOUT",
        "RESERVE",
        "ADJUSTMENT",
        "payin_failed",
        "REFUND",
        "X_CANCELLED",
      ].flatMap(type =>
        [null, "DONE", "PAYIN_FAILED", "expired early", "SPECIAL"].map(name => ({
          type,
          name,
          isNegative: false,
        })),
      )
      yield* Effect.promise(
        () => sql`
          WITH direction AS (
            INSERT INTO warehouse.event_directions (event_type, event_name, direction)
            VALUES ('REFUND', 'SPECIAL', 1), ('PAYIN', 'PAYIN_FAILED', -1), ('X_CANCELLED', '*', 1))
          INSERT INTO warehouse.transactions (account, transaction_id, org_id, owner_id, amount, currency, event_type,
            event_name, is_settled, created_at, raw, content_hash, read_at, first_seen_at, run_id)
          SELECT 'default', lpad(ordinal::text, 3, '0'), 'o', 'o', 1, 'EUR', e ->> 'type', e ->> 'name', true, now(), '{}', '',
            now(), now(), gen_random_uuid()
          FROM jsonb_array_elements(${JSON.stringify(events)}::text::jsonb) WITH ORDINALITY AS t (e, ordinal)`,
      )
      const view = yield* printed(
        sql,
        "SELECT direction FROM analytics.settlement_transaction ORDER BY transaction_id",
      )
      const found = yield* directionsOf(sql, events)
      const directions = found.map(rule => rule!.direction)
      expect(directions.map(direction => (direction === null ? null : String(direction)))).toEqual(
        view.map(({ direction }) => direction ?? null),
      )
      expect(new Set(directions)).toEqual(new Set([1, -1, 0, null]))
      expect(yield* directionsOf(sql, [])).toEqual([])
      const unknown = { type: "NEVER STORED", name: null, isNegative: false }
      expect(yield* directionsOf(sql, [unknown])).toEqual([undefined])
    }),
  )
})

describe.concurrent("a database that is not right", () => {
  it.scopedLive("because it is not migrated: says so, changes nothing, and examines the API", () =>
    Effect.gen(function* () {
      const { ownerUrl, readerUrl } = yield* testDatabase()
      const examination = yield* examined(yield* sandboxOf, {
        database: ownerUrl,
        reader: readerUrl,
        only: ["payouts"],
      })
      expect(linesOf(examination, "migrations")).toEqual([
        expect.stringMatching(/^fail .*run `paycombat-sync migrate`/),
      ])
      expect(linesOf(examination, "reader login")).toEqual([])
      expect(linesOf(examination, "list", "payouts")[0]).toMatch(/^pass /)
      expect(examination).toMatchObject({ level: "fail", isConfigured: true })
      expect(yield* sqlOn(ownerUrl, "SELECT 1 FROM pg_namespace WHERE nspname = 'sync'")).toHaveLength(0)
    }),
  )

  it.scopedLive(
    "because it does not answer: names the remedy, and does not ask the API, because a run may be asking it",
    () =>
      Effect.gen(function* () {
        const database = Redacted.make("postgres://owner:secret-password@127.0.0.1:1/warehouse")
        const examination = yield* examined(yield* sandboxOf, { database, only: ["payouts"] })
        expect(linesOf(examination, "database")).toEqual([
          expect.stringMatching(/^fail .*ECONNREFUSED.*DATABASE_URL/),
        ])
        expect(linesOf(examination, "API")).toEqual([
          expect.stringMatching(/^warn was not asked: .*its rate/),
        ])
        expect(examination.requests).toBe(0)
        expect(JSON.stringify(examination)).not.toContain("secret-password")
      }),
  )

  it.scopedLive("because its password is wrong, or it does not exist", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const url = Redacted.value(ownerUrl)
      const wrong = Redacted.make(url.replace(/:[0-9a-f]+@/, ":not-the-password@"))
      const examination = yield* examined(yield* sandboxOf, { database: wrong, only: [] })
      expect(linesOf(examination, "database")).toEqual([
        expect.stringMatching(/^fail .*28P01.*password of DATABASE_URL/),
      ])
      expect(JSON.stringify(examination)).not.toContain("not-the-password")
      const missing = Redacted.make(url.replace(/\/[^/]*$/, "/no_such_database"))
      const other = yield* examined(yield* sandboxOf, { database: missing, only: [] })
      expect(linesOf(other, "database")).toEqual([expect.stringMatching(/^fail .*3D000/)])
    }),
  )

  it.scopedLive("because its login may not migrate, or is not the warehouse's owner", () =>
    Effect.gen(function* () {
      const empty = yield* testDatabase()
      const sandbox = yield* sandboxOf
      const asReader = yield* examined(sandbox, { database: empty.readerUrl, only: [] })
      expect(linesOf(asReader, "rights")).toEqual([
        expect.stringMatching(/^fail .*(CREATE ON DATABASE|primary)/),
      ])
      const { readerUrl } = yield* testDatabase({ template: MIGRATED })
      const other = yield* examined(sandbox, { database: readerUrl, only: [] })
      expect(linesOf(other, "rights")).toEqual([expect.stringMatching(/^fail /)])
    }),
  )

  slow(() => {
    it.scopedLive("because its reader may read more than analytics, or is not set", () =>
      Effect.gen(function* () {
        const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* sandboxOf
        const unset = yield* examined(sandbox, { database: ownerUrl, only: [] })
        expect(linesOf(unset, "reader login")).toEqual([
          expect.stringMatching(/^warn PAYCOMBAT_READER_URL is not set/),
        ])
        const asOwner = yield* examined(sandbox, { database: ownerUrl, reader: ownerUrl, only: [] })
        expect(linesOf(asOwner, "reader login")).toEqual([
          expect.stringMatching(/^fail Refused: .* may create schemas/),
        ])
        yield* sqlOn(
          ownerUrl,
          "GRANT USAGE ON SCHEMA warehouse TO paycombat_reader; GRANT SELECT ON warehouse.customers TO paycombat_reader",
        )
        yield* sqlOn(ownerUrl, "REVOKE SELECT ON analytics.settlement FROM paycombat_reader")
        const granted = yield* examined(sandbox, { database: ownerUrl, reader: readerUrl, only: [] })
        expect(linesOf(granted, "reader role")).toEqual([
          "pass paycombat_reader is there.",
          expect.stringMatching(/^warn paycombat_reader cannot read settlement of analytics: run /),
          expect.stringMatching(/^warn paycombat_reader can also read warehouse\.customers/),
        ])
        expect(linesOf(granted, "reader login")).toEqual([
          expect.stringMatching(/^fail .*may read warehouse\.customers/),
        ])
      }),
    )
  })

  slow(() => {
    it.scopedLive("because a rule changes stored rows: names it, and the command that removes it", () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
        yield* sqlOn(ownerUrl, "CREATE RULE mine AS ON INSERT TO sync.rejects DO INSTEAD NOTHING")
        const examination = yield* examined(yield* sandboxOf, { database: ownerUrl })
        expect(linesOf(examination, "schemas")).toEqual([
          "fail rule mine on sync.rejects can keep rows out or change them: DROP RULE mine ON sync.rejects.",
        ])
      }),
    )
  })

  it.scopedLive("because it was migrated by a newer program", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const later = `INSERT INTO sync.migrations (hash, created_at) VALUES ('${randomBytes(4).toString("hex")}', 99999999999999)`
      yield* sqlOn(ownerUrl, later)
      const examination = yield* examined(yield* sandboxOf, { database: ownerUrl, only: [] })
      expect(linesOf(examination, "migrations")).toEqual([expect.stringMatching(/^fail .*newer version/)])
    }),
  )
})

slow(() => {
  describe.concurrent("accounts", () => {
    it.scopedLive(
      "are examined under their lease while migrations are pending, and not while a run holds them",
      () =>
        Effect.gen(function* () {
          const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
          const sandbox = yield* sandboxOf
          yield* sqlOn(
            ownerUrl,
            "DELETE FROM sync.migrations WHERE id = (SELECT max(id) FROM sync.migrations)",
          )
          const free = yield* examined(sandbox, { database: ownerUrl, only: ["payouts"] })
          expect(linesOf(free, "list", "payouts")[0]).toMatch(/^pass /)
          yield* sqlOn(
            ownerUrl,
            `UPDATE sync.leases SET run_id = gen_random_uuid(), holder = 'another:1', expires_at = now() + interval '1 hour'
         WHERE stream = '*'`,
          )
          const examination = yield* examined(sandbox, { database: ownerUrl, only: ["payouts"] })
          expect(linesOf(examination, "API")).toEqual([
            expect.stringMatching(/^warn was not asked: .*another:1/),
          ])
          expect(examination.requests).toBe(0)
          yield* sqlOn(ownerUrl, "ALTER TABLE sync.leases DROP COLUMN paused_until")
          const old = yield* examined(sandbox, { database: ownerUrl, only: ["payouts"] })
          expect(linesOf(old, "API")).toEqual([expect.stringMatching(/^warn was not asked: .*migrate/)])
          expect(old.requests).toBe(0)
        }),
    )
  })
})

slow(() => {
  describe.concurrent("the oldest Postgres that is promised", () => {
    it.scopedLive("can be examined", () =>
      Effect.gen(function* () {
        const { ownerUrl, readerUrl } = yield* testDatabase({ version: "14", template: MIGRATED })
        const examination = yield* examined(yield* sandboxOf, {
          database: ownerUrl,
          reader: readerUrl,
          only: ["transactions"],
        })
        expect(linesOf(examination, "database version")[0]).toMatch(/^pass Postgres 14/)
        expect(linesOf(examination, "migrations")[0]).toMatch(/^pass/)
        expect(linesOf(examination, "reader login")[0]).toMatch(/^pass/)
        expect(linesOf(examination, "directions")[0]).toMatch(
          /^warn rules are applied to stored transactions/,
        )
      }),
    )
  })
})
