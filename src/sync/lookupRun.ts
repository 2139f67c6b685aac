import { Chunk, Duration, Effect, Either, Option, Stream as S } from "effect"
import type { EndpointError } from "../core/errors.ts"
import { isAddressable } from "../core/id.ts"
import { isJsonObject, stringifyJson } from "../core/json.ts"
import { idText } from "../core/recordId.ts"
import type { Guarded, LookupStream } from "../core/stream.ts"
import { countRows } from "../observe/metrics.ts"
import { Usage } from "../paycombat/client/client.ts"
import { unwrapRecord } from "../paycombat/client/envelope.ts"
import { getById, UNADDRESSABLE_ID } from "../paycombat/client/idPath.ts"
import { unstorableText } from "../postgres/unstorable.ts"
import { answeredBefore, failedBefore } from "../warehouse/lookups/checks.ts"
import {
  type Answer,
  clearQueue,
  dueAfter,
  queueDue,
  saveAnswers,
  UNSTORABLE,
} from "../warehouse/lookups/readiness.ts"
import { modeChangedAt } from "../warehouse/maintain/privacyMode.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { refuseFailed, refuseIncompleteParent } from "./lookupBound.ts"

/** One call per row that is due: queue → ask, within the account's bounds → save the answers as they come. */

/** Ids that are taken from the queue at once. */
const QUEUE_READ = 500
/** Answers that are saved together at most, and the longest time that one waits for it: what a crash may cost. */
const SAVE_RECORDS = 1_000
const SAVE_AGE = "2 seconds"
/** Look-ups in a row that got no answer after all retries: then it is the endpoint that is away, unless a witness answers. */
const UNAVAILABLE_IN_A_ROW_MAX = 10
/** Records that were answered before, by whom the endpoint proves that it is there; one may have no answer by now. */
const WITNESSES = 2

/** What a run's look-ups came to, beside what is saved of them. */
interface Tally {
  /** Asked without an answer: time-outs, errors of the server, what is not JSON. */
  unanswered: number
  /** Answered about somebody else: then no other answer can be trusted to be about who was asked. */
  mistaken: number
  /** Whose look-up was answered last: asked again, it tells whether the endpoint is still there. */
  answered: string | null
  /** What is wrong with the endpoint, where that ended the look-ups. */
  end: EndpointError | null
}

/** What asking about one id came to: an answer to be saved, and whether anybody else is to be asked after it. */
interface Asked {
  readonly answer: Answer | null
  readonly isLast: boolean
}

/**
 * Whether the endpoint answers about somebody whom it answered about before: then those who get no answer are at
 * fault, and not the endpoint. Takes a call or two beyond the run's budget, and saves nothing.
 */
const isThere = (
  { sql, held, client }: StreamContext,
  stream: Guarded<LookupStream>,
  tally: Tally,
): Effect.Effect<boolean, StreamFailure> =>
  Effect.gen(function* () {
    const { source } = stream
    const witnesses =
      tally.answered === null ? yield* answeredBefore(sql, held, stream, WITNESSES) : [tally.answered]
    for (const id of witnesses) {
      const answers = yield* getById(client, source.path, id).pipe(
        Effect.map(({ body }) => {
          const record = stream.redact(unwrapRecord(body) ?? {})
          const about = unwrapRecord(body)?.[source.idField]
          if (about !== undefined && idText(about) !== id) return false
          return isJsonObject(record) && Either.isRight(stream.decode({ ...record, [source.idField]: id }))
        }),
        Effect.catchTag("EndpointError", () => Effect.succeed(false)),
      )
      if (answers) return true
    }
    return false
  })

/** Asks about one id. A definite refusal is an answer about that id; what is wrong with the endpoint ends the look-ups. */
const ask = (context: StreamContext, stream: Guarded<LookupStream>, tally: Tally) => {
  let unavailableInARow = 0
  const oneAtATime = Effect.unsafeMakeSemaphore(1)
  /** So many in a row without an answer, and nobody else gets one either. */
  const isAway = oneAtATime.withPermits(1)(
    Effect.gen(function* () {
      if (unavailableInARow < UNAVAILABLE_IN_A_ROW_MAX) return false
      if (tally.end !== null || !(yield* isThere(context, stream, tally))) return true
      unavailableInARow = 0
      return false
    }),
  )
  const { source, decode } = stream
  const askAbout = (id: string): Effect.Effect<Asked, StreamFailure> => {
    /** Of this look-up alone: others are under way at the same time. */
    const own = { requests: 0, retries: 0 }
    const failed = (at: Date, error: string, isUnanswered = false): Answer => ({
      id,
      checkedAt: at.toISOString(),
      row: null,
      raw: null,
      error,
      isUnanswered,
    })
    if (!isAddressable(id))
      return Effect.map(context.client.now, now => ({ answer: failed(now, UNADDRESSABLE_ID), isLast: false }))
    return getById(context.client, source.path, id).pipe(
      Effect.provideService(Usage, own),
      Effect.ensuring(
        Effect.sync(() => {
          context.usage.requests += own.requests
          context.usage.retries += own.retries
        }),
      ),
      Effect.map(({ body, readAt }): Answer => {
        unavailableInARow = 0
        const about = unwrapRecord(body)?.[source.idField]
        if (about !== undefined && idText(about) !== id) {
          tally.mistaken++
          return failed(readAt, `The answer is about another ${source.idField}: none of it was stored.`)
        }
        const redacted = stream.redact(unwrapRecord(body) ?? {})
        const record = isJsonObject(redacted) ? redacted : {}
        const raw = stringifyJson(record)
        // What is nested too deep Postgres would store, and nobody could read it again.
        if (unstorableText(record, raw) !== undefined) return failed(readAt, UNSTORABLE)
        return Either.match(decode({ ...record, [source.idField]: id }), {
          onLeft: () => {
            return failed(
              readAt,
              "The answer is not what is documented: no is_wallet_ready true or false in it.",
            )
          },
          onRight: ({ row }) => {
            tally.answered = id
            return { id, checkedAt: readAt.toISOString(), row, raw, error: null, isUnanswered: false }
          },
        })
      }),
      Effect.map((answer): Asked => ({ answer, isLast: false })),
      Effect.catchTag("EndpointError", error =>
        Effect.gen(function* () {
          unavailableInARow = error.reason === "unavailable" ? unavailableInARow + 1 : 0
          // In a pause that the API asked for nothing is sent: then it is not about this id, which keeps its place.
          const isSent = own.requests > 0
          const isUnanswered = error.reason === "unavailable" || error.reason === "malformed"
          if (isUnanswered) tally.unanswered++
          const isEnd = yield* isAway
          const isLast = isEnd || error.status === 403
          if (isLast) tally.end ??= error
          // A refusal is booked though it ends all: were it about this id only, it would come first in each run, and end it.
          const isAboutId = !isEnd && isSent
          const now = yield* context.client.now
          return { answer: isAboutId ? failed(now, error.message, isUnanswered) : null, isLast }
        }),
      ),
    )
  }
  return askAbout
}

/** What the bound on calls cost this run. */
const leftOverNotes = (run: { due: number; neverAsked: number; asked: number }): ReadonlyArray<string> => {
  const leftOver = run.due - run.asked
  if (leftOver <= 0) return []
  const neverAsked = Math.max(0, run.neverAsked - run.asked)
  return [
    `${leftOver} left over, ${neverAsked} of them never asked: they come first in the next run.`,
    // As long as new customers come faster than they can be asked about, it stays so.
    ...(run.asked > 0 && run.neverAsked >= run.asked && run.due > run.neverAsked
      ? ["All calls went to customers who were never asked about: no older answer was renewed."]
      : []),
  ]
}

/**
 * Asks about every row of the parent stream that is due, the longest unasked first, up to the run's budget. A few
 * look-ups may get no answer after all retries, or another one than is documented: they are counted, and asked again.
 * The run fails where these are more than a few (see `refuseFailed`), or where the parent stream did not end well.
 */
export const runLookupStream = (
  context: StreamContext,
  stream: Guarded<LookupStream>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, held, settings, account, usage, tell } = context
    const { due, queued, neverAsked } = yield* queueDue(sql, held, stream, {
      recheckSeconds: Duration.toSeconds(settings.readyRecheck),
      newerThan: context.mustReadAll ? yield* modeChangedAt(sql, held) : null,
      callsMax: settings.readyMaxCalls,
    })
    const done = { extracted: 0, inserted: 0, updated: 0, unanswered: 0, failed: 0 }
    const tally: Tally = { unanswered: 0, mistaken: 0, answered: null, end: null }
    /** Failed, or without an answer, though the check before did not fail. */
    const newly = { failed: 0, unanswered: 0 }
    yield* tell({ total: queued })
    const ids = S.paginateChunkEffect(0, position =>
      Effect.map(dueAfter(sql, held, position, Math.min(QUEUE_READ, queued - position)), found => {
        const next = position + found.length
        return [
          Chunk.unsafeFromArray(found),
          found.length === 0 || next >= queued ? Option.none() : Option.some(next),
        ]
      }),
    )
    yield* ids.pipe(
      S.mapEffect(ask(context, stream, tally), { concurrency: account.concurrency, unordered: true }),
      // It does not fail here: what was answered before is saved, so that the next run begins with others.
      S.takeUntil(({ isLast }) => isLast),
      S.filterMap(({ answer }) => Option.fromNullable(answer)),
      S.groupedWithin(SAVE_RECORDS, SAVE_AGE),
      S.runForEach(chunk =>
        Effect.gen(function* () {
          const answers = Chunk.toReadonlyArray(chunk)
          const failed = answers.filter(({ error }) => error !== null)
          const ids = failed.map(({ id }) => id)
          const again = yield* failedBefore(sql, held, stream, ids)
          const first = failed.filter(({ id }) => !again.has(id))
          newly.failed += first.length
          newly.unanswered += first.filter(({ isUnanswered }) => isUnanswered).length
          const counts = yield* saveAnswers(sql, held, stream, answers, usage).pipe(
            Effect.tap(saved => countRows(held, saved)),
            Effect.uninterruptible,
          )
          done.extracted += answers.length
          done.inserted += counts.inserted
          done.updated += counts.updated
          done.unanswered += counts.unanswered
          done.failed += counts.failed
          yield* tell(done)
        }),
      ),
    )
    if (tally.end !== null) return yield* tally.end
    yield* clearQueue(sql, held)
    const { unanswered, failed } = done
    const isEvery = failed > 0 && failed === done.extracted
    yield* refuseFailed(context, stream, {
      queued,
      stored: done.extracted,
      failed,
      unanswered,
      newlyFailed: newly.failed,
      newlyUnanswered: newly.unanswered,
      // In a pause that the API asked for some were not asked at all.
      unasked: tally.unanswered - unanswered,
      mistaken: tally.mistaken,
      isNobodyAnswered: isEvery && !(yield* isThere(context, stream, tally)),
    })
    yield* refuseIncompleteParent(context, stream, { count: done.extracted - unanswered, of: queued })
    const refused = failed - unanswered
    const notes = [
      ...(unanswered > 0
        ? [
            `${unanswered} of ${queued} look-ups got no answer, and are made again in the next run: see` +
              ` ${stream.name}.check_error, and kyc_gap, where those never answered are check_failed.`,
          ]
        : []),
      ...(refused > 0 ? [`${refused} checks failed: see ${stream.name}.check_error.`] : []),
      ...leftOverNotes({ due, neverAsked, asked: done.extracted }),
    ]
    const leftOver = due - done.extracted
    return { rejected: 0, removed: 0, leftOver, note: notes.join(" ") || null }
  })
