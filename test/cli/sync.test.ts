import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, linesOf, sandboxEnvironment } from "../support/cli.ts"
import { STREAM_NAMES } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { SMALL } from "../support/warehouse.ts"

/** Tests `sync` as a user or a scheduler runs it, against a given Postgres. */

interface Summary {
  readonly status: string
  readonly streams: ReadonlyArray<{
    readonly account: string
    readonly stream: string
    readonly status: string
    readonly extracted: number
    readonly inserted: number
    readonly unchanged: number
    readonly error: string | null
  }>
}

const summaryOf = (stdout: string) => JSON.parse(stdout) as Summary

const parts = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase()
  const sandbox = yield* start(SMALL)
  const environment = { ...sandboxEnvironment(sandbox), ...databaseEnvironment(ownerUrl) }
  return { sandbox, ...(yield* cli(environment)) }
})

describe.concurrent("sync", () => {
  it.scopedLive(
    "exits with 1 if each stream is complete and the figures cannot be trusted all the same",
    () =>
      Effect.gen(function* () {
        const { run, sandbox } = yield* parts
        const transactions = ["sync", "--stream", "transactions", "--full", "--migrate"]
        for (let n = 0; n < 40; n++) sandbox.patch("transactions", n, { settlement_id: "s" })
        // Streams that were never read are bad, but no part of this run.
        const first = yield* run(transactions)
        expect([first.code, first.stdout]).toEqual([0, expect.stringContaining("cannot be trusted")])
        const renamed = { settlement_id: undefined, settlementId: "s" }
        for (let n = 0; n < SMALL.transactions!; n++) sandbox.patch("transactions", n, renamed as never)
        const second = yield* run(transactions)
        expect([second.code, second.stdout]).toEqual([1, expect.stringContaining("no settlement_id")])
      }),
  )

  it.scopedLive("lists what a database lacks, migrates it with --migrate, and then syncs it", () =>
    Effect.gen(function* () {
      const { run, sandbox } = yield* parts
      const refused = yield* run(["sync"])
      expect(refused.code).toBe(2)
      expect(refused.stdout).toBe("")
      expect(linesOf(refused.stderr)).toHaveLength(1)
      expect(refused.stderr).toContain("--migrate")
      expect(sandbox.requests.total).toBe(0)

      const first = yield* run(["sync", "--migrate", "--json"])
      expect(first.code).toBe(0)
      const { status, streams } = summaryOf(first.stdout)
      expect(status).toBe("complete")
      expect(streams.map(({ stream }) => stream).sort()).toEqual(STREAM_NAMES)
      for (const { stream, inserted } of streams)
        expect(inserted).toBe(sandbox.truth.count(sandbox.lists.includes(stream) ? stream : "customers"))
      // Logs are plain lines: one per event, with account and stream, and without colours.
      const log = linesOf(first.stderr)
      expect(log.filter(line => /^\S+Z INFO default\/payouts: started$/.test(line))).toHaveLength(1)
      expect(log.filter(line => line.includes("default/payouts: complete: 20 read, 20 new"))).toHaveLength(1)
      expect(log[0]).toMatch(/Z INFO bringing the database up to date: \d+ migrations, \d+ views$/)
      expect(log.every(line => /^\d{4}-\d\d-\d\dT[\d:.]+Z (INFO|WARN) /.test(line))).toBe(true)
      expect(first.stderr).not.toContain("\u001b")

      const second = yield* run(["sync", "--log-level", "error"])
      expect(second.stderr).toBe("")
      expect(second.code).toBe(0)
      expect(second.stdout).not.toContain("\u001b")
      const cells = linesOf(second.stdout).find(line => line.includes("transactions"))!
      expect(cells.split("│").map(cell => cell.trim())).toEqual([
        "",
        "transactions",
        "complete",
        "120",
        "0",
        "0",
        "120",
        "0",
        "0",
        expect.any(String),
        "",
      ])
    }),
  )

  slow(() => {
    it.scopedLive("works only on the named streams and accounts", () =>
      Effect.gen(function* () {
        const { run, sandbox } = yield* parts
        const other = yield* start({ ...SMALL, seed: 2, token: "token-2" })
        const accounts = {
          PAYCOMBAT_ACCOUNTS: "eu,apac",
          PAYCOMBAT_TOKEN_EU: sandbox.token,
          PAYCOMBAT_TOKEN_APAC: other.token,
          PAYCOMBAT_BASE_URL_APAC: other.url,
        }
        const few = ["sync", "--migrate", "--json", "--stream", "payouts", "--stream", "customers"]
        const one = summaryOf((yield* run([...few, "--account", "apac"], accounts)).stdout)
        expect(one.streams.map(({ account, stream }) => `${account}/${stream}`)).toEqual([
          "apac/customers",
          "apac/payouts",
        ])
        expect(sandbox.requests.total).toBe(0)
        const both = summaryOf((yield* run(few, accounts)).stdout)
        expect(both.streams.map(({ account, stream, unchanged }) => [account, stream, unchanged])).toEqual([
          ["apac", "customers", 23],
          ["apac", "payouts", 20],
          ["eu", "customers", 0],
          ["eu", "payouts", 0],
        ])
      }),
    )
  })

  slow(() => {
    it.scopedLive(
      "stops an account with a refused token, with one clear line and exit 1, and never shows the token",
      () =>
        Effect.gen(function* () {
          const { run } = yield* parts
          const token = "wrong-token-4711"
          const ended = yield* run(["sync", "--migrate"], {
            PAYCOMBAT_TOKEN: token,
            PAYCOMBAT_LOG_LEVEL: "debug",
          })
          expect(ended.code).toBe(1)
          expect(linesOf(ended.stdout).filter(line => line.includes("PAYCOMBAT_TOKEN"))).toHaveLength(1)
          expect(ended.stdout).toContain("401")
          const json = yield* run(["sync", "--json"], { PAYCOMBAT_TOKEN: token })
          const status = yield* run(["status", "--json"], { PAYCOMBAT_TOKEN: token })
          for (const { stdout, stderr } of [ended, json, status]) expect(stdout + stderr).not.toContain(token)
        }),
    )
  })

  it.scopedLive("exits with 1 if a stream fails, and completes the others", () =>
    Effect.gen(function* () {
      const { run, sandbox } = yield* parts
      sandbox.setFault(({ path }) => (path.includes("/payout/") ? { status: 403, body: {} } : undefined))
      const ended = yield* run(["sync", "--migrate", "--json"])
      expect(ended.code).toBe(1)
      const { status, streams } = summaryOf(ended.stdout)
      expect(status).toBe("failed")
      expect(streams.filter(stream => stream.status !== "complete").map(({ stream }) => stream)).toEqual([
        "payouts",
      ])
      expect(streams.find(({ stream }) => stream === "payouts")?.error).toContain("PAYCOMBAT_PATH_PAYOUTS")
    }),
  )

  it.scopedLive("exits with 0 despite rejects, and with 1 under --strict", () =>
    Effect.gen(function* () {
      const { run, sandbox } = yield* parts
      sandbox.patch("payouts", 3, { status: { of: "no text" } })
      const lenient = yield* run(["sync", "--migrate", "--json"])
      expect([lenient.code, summaryOf(lenient.stdout).status]).toEqual([0, "complete_with_rejects"])
      expect((yield* run(["sync", "--strict"])).code).toBe(1)
    }),
  )
})
