import { Deferred, Effect, Fiber, Option } from "effect"
import type postgres from "postgres"
import type { AccountSettings } from "../config/config.ts"
import type { AccountError, EndpointError, LeaseError, WarehouseError } from "../core/errors.ts"
import { firstOf } from "../core/firstOf.ts"
import { isAddressable } from "../core/id.ts"
import type { Privacy } from "../core/privacy.ts"
import { type Guarded, isList, type ListStream, redacting, type Stream } from "../core/stream.ts"
import type { Client } from "../paycombat/client/client.ts"
import { UNADDRESSABLE_ID } from "../paycombat/client/idPath.ts"
import { type Detail, discoverDetail, readDetail } from "../paycombat/lists/byId.ts"
import { decodeContract } from "../paycombat/lists/contract.ts"
import { isNotFound } from "../paycombat/lists/readPage.ts"
import { storedContract } from "../warehouse/ledger/contracts.ts"
import type { Lease } from "../warehouse/ledger/lease.ts"
import { someStored } from "../warehouse/ledger/missing.ts"
import { bookUnread, closeWork, dueWork, putOff, type Unread, type Work } from "../warehouse/ledger/urgent.ts"
import { prepareBatch, writeBeside } from "../warehouse/load/loader.ts"
import type { SourceRecord } from "../warehouse/load/prepare.ts"
import { idHash } from "../warehouse/load/tombstones.ts"
import { areOurs } from "./listMerchants.ts"
import { asListed, fieldsBeyondList } from "./listMissing.ts"

/**
 * Urgent work of one account, done by the run that holds it: reads each record that was handed over by its id, with the
 * run's own client and so within the account's rate, and stores it as a record of the list would be.
 */

/** Time between two looks for work. */
const LOOK_EVERY = "1 second"
/** Records that one look takes on; the next look takes the others. */
const WORK_AT_ONCE = 50
/** Records read at once. Lists and look-ups of the run need most of the account's rate. */
const READ_AT_ONCE = 4
/** Longest time that the streams of a run wait for the work that was there before it. */
const FIRST_LOOK = "10 seconds"
/** Looks at the end of a run, for work that keeps coming. */
const LAST_LOOKS = 10
/** Attempts before work is closed: where the endpoint knows no such record, answers something else, or does not answer. */
const ATTEMPTS_MAX = { notFound: 3, refused: 5, unavailable: 20 } as const
/** Stored records by which a by-id endpoint proves that it shows what the list does; each may have changed since. */
const CONTROLS = 3
/** How long work waits for a stream that other work holds, or that has no rows yet, in seconds. */
const PUT_OFF_SECONDS = 5

const NO_STREAM = "This version knows no such stream."
const NO_ENDPOINT =
  "No endpoint is known that reads one record of this stream by its id: the next run over its list brings it."
const DIFFERS =
  "By its id a record looks different than in the list, so it is no version of it: the next run over the list brings it."
const NOT_FOUND = "The by-id endpoint knows no such record. Nothing was booked as removed."
const HELD = "Other work holds the stream."
const NO_ROWS = "Nothing of the stream is stored yet, so that its by-id endpoint cannot be proven."

/** What the run of an account shares with its urgent work. */
export interface UrgentContext {
  readonly sql: postgres.Sql
  readonly client: Client
  readonly account: AccountSettings
  readonly privacy: Privacy
  /** The account's lease. */
  readonly accountLease: Lease
  /** Fails once that lease is lost. */
  readonly lost: Effect.Effect<never, LeaseError | WarehouseError>
  /** All streams that there are, also those that the run leaves out. */
  readonly streams: ReadonlyArray<Stream>
  /** Uses a stream's lease, which may be the run's own or one that is taken for this; none where other work holds it. */
  readonly withStream: <A, E>(
    name: string,
    use: (lease: Lease) => Effect.Effect<A, E>,
  ) => Effect.Effect<Option.Option<A>, E | WarehouseError>
  /** Ids of a stream's records that are being read here: see `Beside`. */
  readonly besideOf: (stream: string) => Set<string>
}

/** Where records of a stream are read by their id, and which fields only that endpoint has. */
interface ByIdShape {
  readonly endpoint: string
  readonly beyond: ReadonlySet<string>
}

type Failure = AccountError | EndpointError
type SqlFailure = LeaseError | WarehouseError

/** A failed attempt; closed once there were as many as its kind may have. */
const failed = (work: Work, error: Failure): Unread => {
  const isMissing = isNotFound(error)
  const isAway = error._tag === "AccountError" || error.reason === "unavailable"
  const most = ATTEMPTS_MAX[isMissing ? "notFound" : isAway ? "unavailable" : "refused"]
  return { ...work, reason: isMissing ? NOT_FOUND : error.message, isFinal: work.attempts + 1 >= most }
}

const closed = (work: Work, reason: string): Unread => ({ ...work, reason, isFinal: true })

/** Does urgent work while the streams of a run go on. */
export const makeUrgent = (context: UrgentContext) => {
  const { sql, client, account, privacy, accountLease } = context
  const proven = new Map<string, ByIdShape>()
  const unproven = new Set<string>()

  /** Proves that a by-id endpoint shows a stored record as its list did. Fails with the reason why it could not. */
  const shapeOf = (
    lease: Lease,
    stream: Guarded<ListStream>,
    near: string,
  ): Effect.Effect<ByIdShape, Failure | SqlFailure | string> =>
    Effect.gen(function* () {
      const known = proven.get(stream.name)
      if (known !== undefined) return known
      const stored = yield* someStored(sql, lease, stream, { near, limit: CONTROLS })
      const controls = stored.filter(isAddressable)
      if (controls.length === 0) return yield* Effect.fail(NO_ROWS)
      const contract = yield* storedContract(sql, lease.account, stream.name, decodeContract)
      let reason = NO_ENDPOINT
      for (const id of controls) {
        const found = yield* Effect.either(discoverDetail(client, stream.source, id, contract?.byId))
        if (found._tag === "Left") {
          if (found.left._tag === "AccountError" || found.left.reason === "unavailable")
            return yield* found.left
          continue
        }
        const beyond = yield* fieldsBeyondList({ sql, lease }, stream, found.right)
        if (beyond !== undefined) {
          const shape = { endpoint: found.right.endpoint, beyond }
          proven.set(stream.name, shape)
          return shape
        }
        reason = DIFFERS
      }
      if (reason === NO_ENDPOINT) unproven.add(stream.name)
      return yield* Effect.fail(reason)
    })

  /** Reads records and stores those that came; answers the attempts that stored nothing. */
  const readAndStore = (
    lease: Lease,
    stream: Guarded<ListStream>,
    work: ReadonlyArray<Work>,
    { endpoint, beyond }: ByIdShape,
  ): Effect.Effect<ReadonlyArray<Unread>, SqlFailure> => {
    const beside = context.besideOf(stream.name)
    const read = (one: Work) =>
      readDetail(client, stream.source, endpoint, one.id).pipe(
        Effect.map(detail => ({ one, detail })),
        Effect.catchAll(error => Effect.succeed({ one, error })),
      )
    const extractedOf = (detail: Detail): Effect.Effect<SourceRecord, WarehouseError> =>
      Effect.gen(function* () {
        const extracted = asListed(detail, beyond)
        const isForeign = !(yield* areOurs(context, stream, [extracted]))
        return isForeign ? { ...extracted, isForeign } : extracted
      })
    return Effect.gen(function* () {
      for (const { id } of work) beside.add(id)
      const answers = yield* Effect.forEach(work, read, { concurrency: READ_AT_ONCE })
      const came = answers.flatMap(answer => ("detail" in answer ? [answer] : []))
      const extracted = yield* Effect.forEach(came, ({ detail }) => extractedOf(detail))
      if (came.length > 0) {
        const prepared = yield* prepareBatch(sql, lease, stream, extracted, [], beside)
        const erased = new Set(prepared.erased)
        yield* writeBeside(sql, lease, stream, prepared, (tx, { rejects }) =>
          closeWork(
            tx,
            lease,
            stream,
            came.map(({ one }) => one),
            {
              rejected: new Set(rejects.flatMap(({ id }) => id ?? [])),
              erased: new Set(came.flatMap(({ one: { id } }) => (erased.has(idHash(id)) ? [id] : []))),
            },
          ),
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

  const doStream = (name: string, work: ReadonlyArray<Work>): Effect.Effect<void, SqlFailure> =>
    Effect.gen(function* () {
      const book = (unread: ReadonlyArray<Unread>) => bookUnread(sql, accountLease, unread)
      const stream = context.streams.find(candidate => candidate.name === name)
      if (stream === undefined) return yield* book(work.map(one => closed(one, NO_STREAM)))
      if (!isList(stream) || stream.source.detail === null || unproven.has(name))
        return yield* book(work.map(one => closed(one, NO_ENDPOINT)))
      yield* book(work.flatMap(one => (isAddressable(one.id) ? [] : [closed(one, UNADDRESSABLE_ID)])))
      const addressable = work.filter(({ id }) => isAddressable(id))
      if (addressable.length === 0) return
      const guarded = redacting(stream, privacy)
      const done = yield* context.withStream(name, lease =>
        Effect.gen(function* () {
          const shape = yield* Effect.either(shapeOf(lease, guarded, addressable[0]!.id))
          if (shape._tag === "Right")
            return yield* book(yield* readAndStore(lease, guarded, addressable, shape.right))
          const reason = shape.left
          if (reason === NO_ROWS)
            return yield* putOff(sql, accountLease, addressable, { reason, seconds: PUT_OFF_SECONDS })
          if (reason === NO_ENDPOINT) return yield* book(addressable.map(one => closed(one, NO_ENDPOINT)))
          if (typeof reason === "string") {
            const isFinal = (one: Work) => one.attempts + 1 >= ATTEMPTS_MAX.refused
            return yield* book(addressable.map(one => ({ ...one, reason, isFinal: isFinal(one) })))
          }
          if (reason._tag === "LeaseError" || reason._tag === "WarehouseError") return yield* reason
          return yield* book(addressable.map(one => failed(one, reason)))
        }),
      )
      if (Option.isNone(done))
        yield* putOff(sql, accountLease, addressable, { reason: HELD, seconds: PUT_OFF_SECONDS })
    }).pipe(
      // Of the stream's lease, or of the account's: then this fails, too.
      Effect.catchTag("LeaseError", ({ message }) =>
        putOff(sql, accountLease, work, { reason: message, seconds: PUT_OFF_SECONDS }),
      ),
    )

  /** Does the work that is due; answers how much there was. Its failures are logged: the run goes on without it. */
  const look = (isLast: boolean): Effect.Effect<number> =>
    Effect.gen(function* () {
      const due = yield* dueWork(sql, account.name, { limit: WORK_AT_ONCE, isLast })
      const streams = new Set(due.map(({ stream }) => stream))
      for (const name of streams)
        yield* doStream(
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

  /** Looks until nothing new is there, for a bounded number of times. */
  const lastLooks = Effect.gen(function* () {
    for (let looks = 0; looks < LAST_LOOKS; looks++) if ((yield* look(looks === 0)) === 0) return
  })

  /**
   * Does what was there before the streams begin, then runs them and looks once a second, and looks again when they have
   * ended. Interrupting it stops both; a record that is being stored is stored.
   */
  const during = <A, E, R>(streams: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.scoped(
      Effect.gen(function* () {
        const isFirstDone = yield* Deferred.make<void>()
        const isOver = yield* Deferred.make<void>()
        const looking = yield* Effect.forkScoped(
          look(false).pipe(
            Effect.zipRight(Deferred.succeed(isFirstDone, undefined)),
            Effect.zipRight(
              Deferred.await(isOver).pipe(
                Effect.timeoutOption(LOOK_EVERY),
                Effect.tap(over => (Option.isNone(over) ? look(false) : Effect.void)),
                Effect.repeat({ until: Option.isSome }),
              ),
            ),
          ),
        )
        yield* Effect.ignore(Effect.timeout(Deferred.await(isFirstDone), FIRST_LOOK))
        const ended = yield* Effect.exit(streams)
        yield* Deferred.succeed(isOver, undefined)
        yield* firstOf([Effect.zipRight(Fiber.join(looking), lastLooks), Effect.ignore(context.lost)])
        return yield* ended
      }),
    )

  return { during }
}
