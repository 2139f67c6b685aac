import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { status, Warehouse } from "../src/app.ts"
import type { JudgedStatus } from "../src/status/status.ts"
import { STREAM_NAMES } from "./support/lists.ts"
import { warehouseOf } from "./support/upkeep.ts"
import { accountOf, bench } from "./support/warehouse.ts"

/** Tests which accounts and streams `status` judges: every stream of every configured account, run or not. */

const parts = Effect.gen(function* () {
  const { sql, sandbox, sync } = yield* bench()
  const warehouse = warehouseOf(sql)
  const readStatuses = (
    environment: Readonly<Record<string, string>>,
    options: Parameters<typeof status>[0] = {},
  ) =>
    status(options).pipe(
      Effect.provideService(Warehouse, warehouse),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment)))),
    )
  const syncAs = (name: string, only?: ReadonlyArray<string>) =>
    sync({ accounts: [accountOf(sandbox, { name })], ...(only === undefined ? {} : { only }) })
  return { sql, readStatuses, syncAs }
})

const problemsOf = (statuses: ReadonlyArray<JudgedStatus>) =>
  Object.fromEntries(
    statuses.map(({ account, stream, problem }) => [`${account}/${stream}`, problem?.kind ?? null]),
  )

const each = (account: string, kind: string | null, streams: ReadonlyArray<string> = STREAM_NAMES) =>
  Object.fromEntries(streams.map(stream => [`${account}/${stream}`, kind]))

const ONE = { PAYCOMBAT_TOKEN: "x" }
const TWO = { PAYCOMBAT_ACCOUNTS: "eu,apac" }
/** A reader without a configured account. */
const NONE = {}

describe.concurrent("every stream of every configured account", () => {
  it.scopedLive("has a line with the same keys, even if it never ran, which is a problem", () =>
    Effect.gen(function* () {
      const { readStatuses, syncAs } = yield* parts
      expect(yield* readStatuses(NONE)).toEqual([])
      const none = yield* readStatuses(TWO)
      expect(problemsOf(none)).toEqual({ ...each("apac", "never"), ...each("eu", "never") })
      expect(none[0]!.problem!.message).toBe(
        "nothing was synced yet: run `paycombat-sync sync --account apac`.",
      )
      expect((yield* readStatuses(ONE))[0]!.problem!.message).toBe(
        "nothing was synced yet: run `paycombat-sync sync`.",
      )

      yield* syncAs("eu", ["payouts"])
      const statuses = yield* readStatuses(TWO)
      expect(problemsOf(statuses)).toEqual({
        ...each("apac", "never"),
        ...each("eu", "never"),
        "eu/payouts": null,
      })
      const [ran, never] = ["payouts", "wallets"].map(
        name => statuses.find(({ account, stream }) => account === "eu" && stream === name)!,
      )
      expect(Object.keys(never!).sort()).toEqual(Object.keys(ran!).sort())
      expect(never).toEqual({
        account: "eu",
        stream: "wallets",
        lastRunStatus: null,
        lastRunMode: null,
        lastRunAt: null,
        lastEnded: null,
        lastCompleteAt: null,
        lastFullAt: null,
        ageSeconds: null,
        rows: 0,
        isEstimate: false,
        rejects: 0,
        removed: 0,
        leftOver: 0,
        unanswered: 0,
        unmapped: 0,
        path: null,
        isVerified: null,
        heldBy: null,
        heldSince: null,
        isDead: false,
        isRetired: false,
        error: null,
        note: null,
        problem: {
          kind: "never",
          message: "was never read: run `paycombat-sync sync`, or see that `serve` runs.",
        },
        findings: [
          {
            level: "bad",
            stream: "wallets",
            kind: "never",
            text: "was never read: run `paycombat-sync sync`, or see that `serve` runs.",
          },
        ],
        verdict: ran!.verdict,
        nextRunAt: ran!.nextRunAt,
        nextFullAt: ran!.nextFullAt,
      })

      const narrowed = { accounts: ["eu"], streams: ["payouts", "wallets"] }
      expect(problemsOf(yield* readStatuses(TWO, narrowed))).toEqual({
        "eu/payouts": null,
        "eu/wallets": "never",
      })
      const apac = yield* readStatuses(TWO, { accounts: ["apac"], streams: ["wallets"] })
      expect(problemsOf(apac)).toEqual({ "apac/wallets": "never" })
    }),
  )

  it.scopedLive("still waiting in the current run asks the reader to wait", () =>
    Effect.gen(function* () {
      const { sql, readStatuses, syncAs } = yield* parts
      yield* syncAs("default", ["payouts"])
      yield* Effect.promise(
        () => sql`INSERT INTO sync.leases
          SELECT (jsonb_populate_record(l, jsonb_build_object('stream', 'wallets', 'holder', 'host:7',
            'expires_at', clock_timestamp() + interval '1 hour'))).* FROM sync.leases AS l
          WHERE l.stream = 'payouts'`,
      )
      const [wallets] = yield* readStatuses(ONE, { streams: ["wallets"] })
      expect(wallets).toMatchObject({
        heldBy: "host:7",
        heldSince: expect.stringMatching(/^\d{4}-/),
        problem: { kind: "never", message: "its first pass is under way: wait for it." },
      })
    }),
  )
})

describe.concurrent("an account that is no longer configured", () => {
  it.scopedLive("is shown but not judged, unless it is requested by name or no account is configured", () =>
    Effect.gen(function* () {
      const { sql, readStatuses, syncAs } = yield* parts
      yield* syncAs("old", ["payouts"])
      yield* syncAs("default")
      yield* Effect.promise(
        () => sql`UPDATE sync.stream_runs SET started_at = started_at - interval '3 days',
          finished_at = finished_at - interval '3 days' WHERE account = 'old'`,
      )
      const statuses = yield* readStatuses(ONE)
      expect(problemsOf(statuses)).toEqual({ ...each("default", null), "old/payouts": null })
      expect(statuses.filter(({ isRetired }) => isRetired).map(({ account }) => account)).toEqual(["old"])
      const old = statuses.find(({ account }) => account === "old")!
      expect(old.ageSeconds).toBeGreaterThan(3 * 86_400 - 1)
      expect(old.ageSeconds).toBeLessThan(3 * 86_400 + 600)

      const named = yield* readStatuses(ONE, { accounts: ["old"] })
      expect(problemsOf(named)).toEqual({ ...each("old", "never"), "old/payouts": "stale" })
      expect(named.every(({ isRetired }) => isRetired)).toBe(true)

      const watched = yield* readStatuses(NONE)
      expect(problemsOf(watched)).toEqual({
        ...each("default", null),
        ...each("old", "never"),
        "old/payouts": "stale",
      })
      expect(watched.some(({ isRetired }) => isRetired)).toBe(false)
      // Data of one stream make an account known, even if another stream is requested.
      expect(problemsOf(yield* readStatuses(NONE, { streams: ["wallets"] }))).toEqual({
        "default/wallets": null,
        "old/wallets": "never",
      })

      const { _tag, message } = yield* Effect.flip(readStatuses(ONE, { accounts: ["odl"] }))
      expect(_tag).toBe("ConfigurationError")
      expect(message).toMatch(/account odl, and it is not configured \(default is\): check the name/)
      expect((yield* Effect.flip(readStatuses(NONE, { accounts: ["odl"] }))).message).toMatch(
        /account odl: check the name/,
      )
    }),
  )
})
