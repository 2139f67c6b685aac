import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { makeHolding } from "../Holding.ts"
import { type Account, type Client, make } from "../paycombat/Client.ts"
import { ACCOUNT } from "../warehouse/Lease.ts"
import type { Opened } from "./database.ts"
import { finding, Listener } from "./Finding.ts"

/** An account for the time of its examination: its rate is for one process at a time, so a run and `doctor` take turns. */

/** How long `doctor` waits for a run that is under way. */
const RUN_WAIT = "5 seconds"
/** Time after which the account of a `doctor` that was killed is free again. */
const LEASE_SECONDS = 30

/**
 * Examines an account under its lease. Says so and answers nothing where a run holds it. Takes no lease where there is no
 * warehouse yet, or one that this login cannot write: no run can be under way with these settings then.
 */
export const withAccount = <A, R>(
  opened: Opened | undefined,
  account: Account,
  use: (client: Client) => Effect.Effect<ReadonlyArray<A>, never, R>,
) =>
  Effect.gen(function* () {
    const unshared = Effect.flatMap(make(account), use)
    if (opened?.isMigrated !== true) return yield* unshared
    const { doing, found } = yield* Listener
    const notAsked = (message: string) =>
      Effect.as(found(finding("warn", "API", `was not asked: ${message}`, { account: account.name })), [])
    const holding = yield* makeHolding(opened.sql, { runId: randomUUID(), leaseSeconds: LEASE_SECONDS })
    const name = { account: account.name, stream: ACCOUNT }
    const taken = yield* Effect.either(
      Effect.gen(function* () {
        const { held, refused } = yield* holding.take([name])
        if (held[0] !== undefined) return held[0]
        if (refused[0] !== undefined) yield* doing(`waiting: ${refused[0].message}`)
        return yield* holding.takeWithin(name, RUN_WAIT)
      }),
    )
    if (taken._tag === "Left")
      return yield* taken.left._tag === "LeaseError" ? notAsked(taken.left.message) : unshared
    const lease = taken.right
    return yield* Effect.raceFirst(
      Effect.flatMap(make(account, { grant: holding.grantOf(lease) }), use),
      Effect.catchAll(holding.lost(lease), ({ message }) => notAsked(message)),
    )
  }).pipe(Effect.scoped)
