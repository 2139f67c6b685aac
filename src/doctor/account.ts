import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { DatabaseSettings } from "../config/config.ts"
import type { Account } from "../core/account.ts"
import { type Client, make } from "../paycombat/client/client.ts"
import { read } from "../postgres/statements.ts"
import { makeHolding } from "../sync/holding.ts"
import { ACCOUNT } from "../warehouse/ledger/lease.ts"
import { examineDatabase, type Ground, type Opened } from "./database.ts"
import { CheckReporter, checkOf } from "./finding.ts"

/** Examines an account under its lease. The account's rate is for one process, so a run and `doctor` take turns. */

/** Longest wait of `doctor` for a running sync. */
const RUN_WAIT = "5 seconds"
/** Time after which the account of a killed `doctor` is free again. */
const LEASE_SECONDS = 30

const AWAY =
  "the database does not tell whether a run asks the API about this account now, and both together could pass its rate." +
  " See the lines about the database, and run doctor again once it answers."

/** True if runs can hold accounts there. A database without our tables has seen no run. */
const hasLeases = (sql: Opened["sql"]) =>
  read(async () => {
    const [found] = await sql<Array<{ yes: boolean }>>`SELECT to_regclass('sync.leases') IS NOT NULL AS yes`
    return found?.yes === true
  })

/**
 * Examines an account under its lease. If a run holds it, or if that is unknown, adds a finding and returns nothing.
 * Takes no lease if there is no warehouse yet, because no run with these settings can be under way then.
 */
export const withAccount = <A, R>(
  ground: Ground,
  account: Account,
  use: (client: Client) => Effect.Effect<ReadonlyArray<A>, never, R>,
) =>
  Effect.gen(function* () {
    const { start, report } = yield* CheckReporter
    const notAsked = (message: string) =>
      Effect.as(report(checkOf("API", { account: account.name }).warn(`was not asked: ${message}`)), [])
    const unshared = Effect.flatMap(make(account), use)
    if (ground === "none") return yield* unshared
    if (ground === "away") return yield* notAsked(AWAY)
    const { sql } = ground
    const holding = yield* makeHolding(sql, { runId: randomUUID(), leaseSeconds: LEASE_SECONDS })
    const name = { account: account.name, stream: ACCOUNT }
    const taken = yield* Effect.either(
      Effect.gen(function* () {
        if (!(yield* hasLeases(sql))) return undefined
        const { leases, refused } = yield* holding.take([name])
        if (leases[0] !== undefined) return leases[0]
        if (refused[0] !== undefined) yield* start(`waiting: ${refused[0].message}`)
        return yield* holding.takeWithin(name, RUN_WAIT)
      }),
    )
    if (taken._tag === "Left")
      return yield* notAsked(
        taken.left._tag === "LeaseError"
          ? taken.left.message
          : `its lease could not be taken (${taken.left.message}). See the lines about the database; run \`paycombat-sync migrate\` where migrations are pending.`,
      )
    const lease = taken.right
    if (lease === undefined) return yield* unshared
    return yield* Effect.raceFirst(
      Effect.flatMap(make(account, { grant: holding.grantOf(lease) }), use),
      Effect.catchAll(holding.lost(lease), ({ message }) => notAsked(message)),
    )
  }).pipe(Effect.scoped)

export const groundOf = (subject: {
  readonly database: DatabaseSettings | undefined
  readonly problems: ReadonlyArray<string>
}) =>
  subject.database === undefined
    ? Effect.succeed<Ground>(subject.problems.length > 0 ? "away" : "none")
    : examineDatabase(subject.database)
