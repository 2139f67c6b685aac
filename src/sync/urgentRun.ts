import { Array, Deferred, Effect, Fiber, Option } from "effect"
import type postgres from "postgres"
import type { AccountSettings } from "../config/config.ts"
import type { AccountError, EndpointError, LeaseError, WarehouseError } from "../core/errors.ts"
import { firstOf } from "../core/fibers.ts"
import { isAddressable } from "../core/id.ts"
import type { Privacy } from "../core/privacy.ts"
import { type Guarded, isList, type ListStream, redacting, type Stream } from "../core/stream.ts"
import type { Client } from "../paycombat/client/client.ts"
import { UNADDRESSABLE_ID } from "../paycombat/client/idPath.ts"
import { CONTROLS, discoverDetail, readDetail } from "../paycombat/lists/byId.ts"
import { decodeContract } from "../paycombat/lists/contract.ts"
import { isNotFound } from "../paycombat/lists/readPage.ts"
import { storedContract } from "../warehouse/ledger/contracts.ts"
import type { Lease } from "../warehouse/ledger/lease.ts"
import { someStored } from "../warehouse/ledger/stored.ts"
import { bookUnread, closeWork, dueWork, putOff, type Unread, type Work } from "../warehouse/ledger/urgent.ts"
import { asListed, fieldsBeyondStored } from "../warehouse/load/byIdVersions.ts"
import { prepareBatch, writeBeside } from "../warehouse/load/loader.ts"
import { idHash } from "../warehouse/load/tombstones.ts"
import { areOurs } from "./listMerchants.ts"

/**
 * Urgent work of one account, done by the run that holds it. The run reads each record that was handed over by its id,
 * with its own client and so within the account's rate, and stores it like a record of the list.
 */

/** Interval between two looks for work. */
const LOOK_EVERY = "1 second"
/** Records that one look reads at most. The next look reads the others. */
const WORK_AT_ONCE = 50
/** Records read at once. The lists and look-ups of the run need most of the account's rate. */
const READ_AT_ONCE = 4
/** Longest time that the streams of a run wait for the work that was there before the run. */
const FIRST_LOOK = "10 seconds"
/** Looks at the end of a run at most: work may keep coming. */
const LAST_LOOKS = 10
/** Attempts before work is closed, by the last answer: no such record, another refusal, or no answer. */
const ATTEMPTS_MAX = { notFound: 3, refused: 5, unavailable: 20 } as const
/** Seconds until work is tried again if other work holds its stream, or its stream has no rows yet. */
const PUT_OFF_SECONDS = 5

const NO_STREAM = "This version knows no such stream."
const NO_ENDPOINT =
  "No endpoint is known that reads one record of this stream by its id: the next run over its list brings it."
const DIFFERS =
  "By its id a record looks different than in the list, so it is no version of it: the next run over the list brings it."
const NOT_FOUND = "The by-id endpoint knows no such record. Nothing was booked as removed."
const HELD = "Other work holds the stream."
const NO_ROWS = "Nothing of the stream is stored yet, so that its by-id endpoint cannot be proven."

export interface UrgentContext {
  readonly sql: postgres.Sql
  readonly client: Client
  readonly account: AccountSettings
  readonly privacy: Privacy
  readonly accountLease: Lease
  readonly lost: Effect.Effect<never, LeaseError | WarehouseError>
  readonly streams: ReadonlyArray<Stream>
  /** Uses a stream's lease: the run's own, or one that is taken for this. Answers none if other work holds it. */
  readonly withStream: <A, E>(
    name: string,
    use: (lease: Lease) => Effect.Effect<A, E>,
  ) => Effect.Effect<Option.Option<A>, E | WarehouseError>
  /** Ids of a stream's records that urgent work is reading: see `Beside`. */
  readonly besideOf: (stream: string) => Set<string>
}

/** A by-id endpoint that was proven to show the same records as the list. */
interface ByIdShape {
  readonly endpoint: string
  /** Fields that only this endpoint has. */
  readonly beyond: ReadonlySet<string>
}

interface Urgent extends UrgentContext {
  readonly proven: Map<string, ByIdShape>
  readonly unproven: Set<string>
}

type Failure = AccountError | EndpointError
type SqlFailure = LeaseError | WarehouseError

const isUnavailable = (error: Failure): boolean =>
  error._tag === "AccountError" || error.reason === "unavailable"

/** A failed attempt. It closes the work if it was the last that its kind may have. */
const attempted = (work: Work, reason: string, kind: keyof typeof ATTEMPTS_MAX): Unread => ({
  ...work,
  reason,
  isFinal: work.attempts + 1 >= ATTEMPTS_MAX[kind],
})

const failed = (work: Work, error: Failure): Unread =>
  isNotFound(error)
    ? attempted(work, NOT_FOUND, "notFound")
    : attempted(work, error.message, isUnavailable(error) ? "unavailable" : "refused")

const close = ({ sql, accountLease }: Urgent, work: ReadonlyArray<Work>, reason: string) =>
  bookUnread(
    sql,
    accountLease,
    work.map(one => ({ ...one, reason, isFinal: true })),
  )

const doLater = ({ sql, accountLease }: Urgent, work: ReadonlyArray<Work>, reason: string) =>
  putOff(sql, accountLease, work, { reason, seconds: PUT_OFF_SECONDS })

/** Proves that a by-id endpoint shows a stored record as its list did. Fails with the reason why not. */
const shapeOf = (
  { sql, client, proven, unproven }: Urgent,
  lease: Lease,
  stream: Guarded<ListStream>,
  near: string,
): Effect.Effect<ByIdShape, Failure | SqlFailure | string> =>
  Effect.gen(function* () {
    const earlier = proven.get(stream.name)
    if (earlier !== undefined) return earlier
    const stored = yield* someStored(sql, lease, stream, { near, limit: CONTROLS })
    const controls = stored.filter(isAddressable)
    if (controls.length === 0) return yield* Effect.fail(NO_ROWS)
    const contract = yield* storedContract(sql, lease.account, stream.name, decodeContract)
    let reason = NO_ENDPOINT
    for (const id of controls) {
      const detail = yield* Effect.either(discoverDetail(client, stream.source, id, contract?.byId))
      if (detail._tag === "Left") {
        if (isUnavailable(detail.left)) return yield* detail.left
        continue
      }
      const beyond = yield* fieldsBeyondStored(sql, lease.account, stream, detail.right.record)
      if (beyond !== undefined) {
        const shape = { endpoint: detail.right.endpoint, beyond }
        proven.set(stream.name, shape)
        return shape
      }
      reason = DIFFERS
    }
    if (reason === NO_ENDPOINT) unproven.add(stream.name)
    return yield* Effect.fail(reason)
  })

/** Reads records and stores the answers. Answers the attempts that stored nothing. */
const readAndStore = (
  context: Urgent,
  lease: Lease,
  stream: Guarded<ListStream>,
  work: ReadonlyArray<Work>,
  { endpoint, beyond }: ByIdShape,
): Effect.Effect<ReadonlyArray<Unread>, SqlFailure> => {
  const { sql, client } = context
  const beside = context.besideOf(stream.name)
  const readOne = (one: Work) =>
    readDetail(client, stream.source, endpoint, one.id).pipe(
      Effect.map(detail => ({ one, detail })),
      Effect.catchAll(error => Effect.succeed({ one, error })),
    )
  return Effect.gen(function* () {
    for (const { id } of work) beside.add(id)
    const answers = yield* Effect.forEach(work, readOne, { concurrency: READ_AT_ONCE })
    const came = answers.flatMap(answer => ("detail" in answer ? [answer] : []))
    const records = yield* Effect.forEach(came, ({ detail }) => {
      const record = asListed(detail, beyond)
      return Effect.map(areOurs(context, stream, [record]), isOurs => ({ ...record, isForeign: !isOurs }))
    })
    if (came.length > 0) {
      const prepared = yield* prepareBatch(sql, lease, stream, records, [], beside)
      const erased = new Set(prepared.erased)
      const done = came.map(({ one }) => one)
      yield* writeBeside(sql, lease, stream, prepared, (tx, { rejects }) =>
        closeWork(tx, lease, stream, done, {
          rejected: new Set(rejects.flatMap(({ id }) => id ?? [])),
          erased: new Set(done.flatMap(({ id }) => (erased.has(idHash(id)) ? [id] : []))),
        }),
      )
    }
    return answers.flatMap(answer => ("error" in answer ? [failed(answer.one, answer.error)] : []))
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        for (const { id } of work) beside.delete(id)
      }),
    ),
  )
}

const doUnderLease = (
  context: Urgent,
  lease: Lease,
  stream: Guarded<ListStream>,
  work: ReadonlyArray<Work>,
): Effect.Effect<void, SqlFailure> =>
  Effect.gen(function* () {
    const book = (unread: ReadonlyArray<Unread>) => bookUnread(context.sql, context.accountLease, unread)
    const shape = yield* Effect.either(shapeOf(context, lease, stream, work[0]!.id))
    if (shape._tag === "Right")
      return yield* book(yield* readAndStore(context, lease, stream, work, shape.right))
    const reason = shape.left
    if (reason === NO_ROWS) return yield* doLater(context, work, reason)
    if (reason === NO_ENDPOINT) return yield* close(context, work, reason)
    if (typeof reason === "string") return yield* book(work.map(one => attempted(one, reason, "refused")))
    if (reason._tag === "LeaseError" || reason._tag === "WarehouseError") return yield* reason
    return yield* book(work.map(one => failed(one, reason)))
  })

const doStream = (
  context: Urgent,
  name: string,
  work: ReadonlyArray<Work>,
): Effect.Effect<void, SqlFailure> =>
  Effect.gen(function* () {
    const stream = context.streams.find(candidate => candidate.name === name)
    if (stream === undefined) return yield* close(context, work, NO_STREAM)
    if (!isList(stream) || stream.source.detail === null || context.unproven.has(name))
      return yield* close(context, work, NO_ENDPOINT)
    const [unaddressable, addressable] = Array.partition(work, ({ id }) => isAddressable(id))
    yield* close(context, unaddressable, UNADDRESSABLE_ID)
    if (addressable.length === 0) return
    const guarded = redacting(stream, context.privacy)
    const done = yield* context.withStream(name, lease => doUnderLease(context, lease, guarded, addressable))
    if (Option.isNone(done)) yield* doLater(context, addressable, HELD)
  }).pipe(
    // If it is the account's lease that was lost, putting the work off fails, too.
    Effect.catchTag("LeaseError", ({ message }) => doLater(context, work, message)),
  )

/** Does the work that is due, and answers how much there was. Logs failures: the run goes on without the work. */
const look = (context: Urgent, isLast: boolean): Effect.Effect<number> =>
  Effect.gen(function* () {
    const { sql, account } = context
    const due = yield* dueWork(sql, account.name, { limit: WORK_AT_ONCE, isLast })
    for (const name of new Set(due.map(({ stream }) => stream)))
      yield* doStream(
        context,
        name,
        due.filter(({ stream }) => stream === name),
      )
    if (due.length > 0) yield* Effect.logInfo(`urgent work: ${due.length} records were looked at by id`)
    return due.length
  }).pipe(
    Effect.catchAll(({ message }) => Effect.as(Effect.logWarning(`urgent work waits: ${message}`), 0)),
    Effect.catchAllDefect(defect =>
      Effect.as(Effect.logError("unexpected failure of urgent work", defect), 0),
    ),
  )

const lastLooks = (context: Urgent): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let looks = 0; looks < LAST_LOOKS; looks++) if ((yield* look(context, looks === 0)) === 0) return
  })

/** Runs the streams of an account, and urgent work before, beside and after them. An interruption stops both. */
export const withUrgentWork = <A, E, R>(
  run: UrgentContext,
  streams: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const context: Urgent = { ...run, proven: new Map(), unproven: new Set() }
      const isFirstDone = yield* Deferred.make<void>()
      const isOver = yield* Deferred.make<void>()
      const looking = yield* Effect.forkScoped(
        look(context, false).pipe(
          Effect.zipRight(Deferred.succeed(isFirstDone, undefined)),
          Effect.zipRight(
            Deferred.await(isOver).pipe(
              Effect.timeoutOption(LOOK_EVERY),
              Effect.tap(over => (Option.isNone(over) ? look(context, false) : Effect.void)),
              Effect.repeat({ until: Option.isSome }),
            ),
          ),
        ),
      )
      yield* Effect.ignore(Effect.timeout(Deferred.await(isFirstDone), FIRST_LOOK))
      const ended = yield* Effect.exit(streams)
      yield* Deferred.succeed(isOver, undefined)
      const rest = Effect.zipRight(Fiber.join(looking), lastLooks(context))
      yield* firstOf([rest, Effect.ignore(context.lost)])
      return yield* ended
    }),
  )
