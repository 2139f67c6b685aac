import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, linesOf } from "../support/cli.ts"
import { runSql, type TestDatabaseOptions, testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, SMALL, syncOnce } from "../support/warehouse.ts"

/**
 * Tests `rejects` and `rebuild` against a given Postgres and without a token, because neither calls the API.
 */

const SECRET = "Ana Teresa Poe"

const on = (options: TestDatabaseOptions) =>
  Effect.gen(function* () {
    const database = yield* testDatabase(options)
    const sql = (statement: string) => Effect.promise(() => runSql(database.ownerUrl, statement))
    return { ...database, sql, ...(yield* cli(databaseEnvironment(database.ownerUrl))) }
  })

/** A warehouse with three rejects. Its API is no longer there. */
const SYNCED = {
  name: "rejects",
  from: MIGRATED,
  prepare: async (ownerUrl: Redacted.Redacted) => {
    await Effect.runPromise(
      Effect.gen(function* () {
        const sandbox = yield* start(SMALL)
        sandbox.patch("payouts", 3, { status: [5], description: SECRET })
        sandbox.patch("transactions", 4, { amount: SECRET })
        sandbox.patch("transactions", 5, { amount: null, event_description: SECRET })
        yield* syncOnce(yield* connect(ownerUrl), sandbox)
      }).pipe(Effect.scoped),
    )
  },
}

const synced = on({ template: SYNCED })

interface Listed {
  readonly id: number
  readonly stream: string
  readonly field: string
  readonly unlistedAt: string | null
}

const json = <A>(text: string) => JSON.parse(text) as A

describe.concurrent("rejects", () => {
  it.scopedLive("are listed, narrowed and shown in full; personal data go to stdout only", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* synced
      const all = yield* run(["rejects", "list", "--json"])
      const listed = json<ReadonlyArray<Listed>>(all.stdout)
      expect(listed.map(({ stream, field }) => `${stream}.${field}`).sort()).toEqual([
        "payouts.status",
        "transactions.amount",
        "transactions.amount",
      ])
      for (const { stdout } of [all, yield* run(["rejects", "list"])]) {
        expect(stdout).not.toContain('"raw"')
        expect(stdout).not.toContain(SECRET)
      }
      yield* sql("UPDATE sync.rejects SET unlisted_at = now() WHERE stream = 'payouts'")
      const [payout] = listed.filter(({ stream }) => stream === "payouts")

      const [open, closed, none, shown, whole] = yield* Effect.all(
        [
          run(["rejects", "list"]),
          run(["rejects", "list", "--all", "--account", "default", "--stream", "payouts"]),
          run(["rejects", "list", "--stream", "wallet_readiness"]),
          run(["rejects", "show", String(payout!.id)]),
          run(["rejects", "show", String(payout!.id), "--json"]),
        ],
        { concurrency: 2 },
      )
      for (const ended of [open, closed, none, shown, whole])
        expect([ended.code, ended.stderr]).toEqual([0, ""])
      expect(linesOf(open.stdout).filter(line => line.includes("transactions"))).toHaveLength(2)
      expect(open.stdout).not.toContain("payouts")
      expect(open.stdout).toContain(" open ")
      expect(linesOf(closed.stdout).filter(line => line.includes("no longer listed"))).toHaveLength(1)
      expect(closed.stdout).not.toContain("transactions")
      expect(none.stdout).toContain("There are no open rejects.")
      expect(none.stdout).toContain("check_error")
      expect(shown.stdout).toMatch(/field: +status\n/)
      expect(shown.stdout.trimEnd().split("\n").at(-1)).toContain(SECRET)
      const { raw, ...facts } = json<{ readonly raw: string }>(whole.stdout)
      expect(json(raw)).toMatchObject({ status: [5], description: SECRET })
      expect(facts).toMatchObject({ stream: "payouts", field: "status", account: "default" })
    }),
  )

  slow(() => {
    it.scopedLive("escape terminal sequences in the API's text", () =>
      Effect.gen(function* () {
        const { run, ownerUrl } = yield* on({ template: MIGRATED })
        const sandbox = yield* start(SMALL)
        const id = "x\u001b]0;title\u0007\n✔ all is well\u202e\u009b31m"
        sandbox.patch("transactions", 4, { transaction_id: id, amount: { [SECRET]: SECRET } })
        sandbox.patch("transactions", 3, { event_type: "=cmd\u001b[31m\n", event_name: "" })
        yield* syncOnce(yield* connect(ownerUrl), sandbox)
        const [list, show, listJson, table] = yield* Effect.all(
          [
            run(["rejects", "list"]),
            run(["rejects", "show", "1"]),
            run(["rejects", "list", "--json"]),
            run(["status"]),
          ],
          { concurrency: 2 },
        )
        const shown = String.raw`x\x1b]0;title\x07\n✔ all is well\u202e\x9b31m`
        expect(list.stdout).toContain(shown)
        expect(show.stdout).toContain(`record:     ${shown}\n`)
        expect(json<ReadonlyArray<{ readonly recordId: string }>>(listJson.stdout)[0]!.recordId).toBe(id)
        for (const { stdout, stderr } of [list, show, listJson, table])
          expect((stdout + stderr).replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u)
        expect(list.stdout).not.toContain(SECRET)
      }),
    )
  })

  slow(() => {
    it.scopedLive("are all listed as JSON, and the newest as a table", () =>
      Effect.gen(function* () {
        const { run, sql } = yield* synced
        yield* sql(`INSERT INTO sync.rejects
            (account, stream, record_id, reason, raw, content_hash, read_at, first_seen_at, run_id)
          SELECT account, stream, 'more-' || n, 'amount: is "no" number', '{}', 'hash-' || n, read_at, first_seen_at, run_id
          FROM (SELECT * FROM sync.rejects WHERE stream = 'payouts') AS r, generate_series(1, 2500) AS n ORDER BY n`)
        const [all, payouts, none, shown] = yield* Effect.all(
          [
            run(["rejects", "list", "--json"]),
            run(["rejects", "list", "--json", "--stream", "payouts"]),
            run(["rejects", "list", "--json", "--stream", "checkouts"]),
            run(["rejects", "list"]),
          ],
          { concurrency: 2 },
        )
        for (const ended of [all, payouts, none]) expect([ended.code, ended.stderr]).toEqual([0, ""])
        const listed = json<ReadonlyArray<Listed>>(all.stdout)
        expect(listed).toHaveLength(2503)
        expect(all.stdout).toBe(`${JSON.stringify(listed, null, 2)}\n`)
        const ids = listed.map(({ id }) => id)
        expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
        expect(json<ReadonlyArray<Listed>>(payouts.stdout)).toHaveLength(2501)
        expect(none.stdout).toBe("[]\n")
        expect(shown.code).toBe(0)
        expect(linesOf(shown.stderr)).toEqual([expect.stringContaining("newest 1000 of 2503 are shown")])
        expect(shown.stderr).toContain("--json prints all")
        const rows = linesOf(shown.stdout).filter(line => line.includes("payouts"))
        expect(rows).toHaveLength(1000)
        expect(rows[0]).toContain(" more-2500 ")
        expect(rows.at(-1)).toContain(" more-1501 ")
      }),
    )
  })

  it.scopedLive("are replayed without the API; remaining ones fail --strict", () =>
    Effect.gen(function* () {
      const { run, sql } = yield* synced
      // Changes the record, in place of a corrected program.
      yield* sql(`UPDATE sync.rejects SET raw = jsonb_set(raw::jsonb, '{amount}', '12.30')::text
        WHERE stream = 'transactions' AND reason NOT LIKE '%null%'`)
      const done = yield* run(["rejects", "replay"])
      expect(done.code).toBe(0)
      expect(done.stdout).toMatch(/transactions.*complete_with_rejects.*2.*1.*0.*0.*1/)
      expect(done.stderr).not.toContain(SECRET)
      expect(yield* sql("SELECT 1 FROM warehouse.transactions WHERE amount = 12.30")).toHaveLength(1)
      const list = yield* run(["rejects", "list", "--json"])
      expect(json<ReadonlyArray<Listed>>(list.stdout)).toHaveLength(2)

      const strict = yield* run(["rejects", "replay", "--stream", "payouts", "--strict", "--json"])
      expect(strict.code).toBe(1)
      expect(json(strict.stdout)).toMatchObject({
        status: "complete_with_rejects",
        streams: [{ stream: "payouts", mode: "replay", extracted: 1, rejected: 1 }],
      })
    }),
  )

  slow(() => {
    it.scopedLive(
      "are refused for wrong ids or names, under another run's lease, and to the reader's login",
      () =>
        Effect.gen(function* () {
          const { run, sql, readerUrl } = yield* synced
          const wrong = yield* Effect.forEach(
            [
              ["rejects", "show", "999999"],
              ["rejects", "show", "one"],
              ["rejects", "list", "--account", "eu"],
            ],
            args => run(args),
            { concurrency: 2 },
          )
          for (const { code, stdout, stderr } of wrong)
            expect([code, stdout, linesOf(stderr).length]).toEqual([2, "", 1])
          yield* sql("UPDATE sync.leases SET holder = 'host:7', expires_at = now() + interval '1 hour'")
          const held = yield* run(["rejects", "replay"])
          expect([held.code, held.stdout]).toEqual([3, ""])
          expect(held.stderr).toContain("host:7")
          const reader = yield* run(["rejects", "list"], { DATABASE_URL: Redacted.value(readerUrl) })
          expect(reader.code).not.toBe(0)
          expect([reader.stdout, reader.stderr.includes(SECRET)]).toEqual(["", false])
        }),
    )
  })

  it.scopedLive("without a subcommand prints the subcommands", () =>
    Effect.gen(function* () {
      const { run } = yield* cli()
      const help = yield* run(["rejects"])
      for (const name of ["list", "show", "replay"]) expect(help.stdout).toContain(name)
      expect(help.stdout).toContain("personal data")
    }),
  )
})

describe.concurrent("rebuild", () => {
  slow(() => {
    it.scopedLive("restores rows from the stored records, and exits with 1 if it cannot", () =>
      Effect.gen(function* () {
        const { run, sql } = yield* synced
        yield* sql("UPDATE warehouse.payouts SET status = 'x', currency = 'x'")
        const done = yield* run(["rebuild"])
        expect(done.code).toBe(0)
        expect(done.stdout).toMatch(/payouts.*complete .*19.*0.*19.*0.*0/)
        expect(
          yield* sql("SELECT 1 FROM warehouse.payouts WHERE status = 'x' OR currency = 'x'"),
        ).toHaveLength(0)

        yield* sql("UPDATE warehouse.payouts SET raw = raw - 'status'")
        const failed = yield* run(["rebuild", "--stream", "payouts", "--json"])
        expect(failed.code).toBe(1)
        expect(json(failed.stdout)).toMatchObject({
          status: "failed",
          streams: [{ stream: "payouts", mode: "rebuild", rejected: 19, updated: 0 }],
        })
      }),
    )
  })

  it.scopedLive("says if nothing is stored", () =>
    Effect.gen(function* () {
      const { run } = yield* on({ template: MIGRATED })
      const nothing = yield* run(["rebuild"])
      expect([nothing.code, nothing.stdout]).toEqual([
        0,
        "Nothing is stored yet: run `paycombat-sync sync`.\n",
      ])
    }),
  )
})
