import { Chunk, Duration, Effect, Either, Option, Stream as S } from "effect"
import { EndpointError } from "./Errors.ts"
import { isJsonObject, stringifyJson } from "./Json.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./Pipeline.ts"
import { unwrapRecord } from "./paycombat/envelope.ts"
import type { LookupStream } from "./Stream.ts"
import { modeChangedAt } from "./warehouse/privacy.ts"
import {
  type Answer,
  clearQueue,
  dueAfter,
  queueDue,
  saveAnswers,
  UNSTORABLE,
} from "./warehouse/Readiness.ts"
import { unstorableText } from "./warehouse/unstorable.ts"

/** One call per row that is due: queue → ask, within the account's bounds → save the answers as they come. */

/** Ids that are taken from the queue at once. */
const QUEUE_READ = 500
/** Answers that are saved together at most, and the longest time that one waits for it: what a crash may cost. */
const SAVE_RECORDS = 1_000
const SAVE_AGE = "2 seconds"
/** Look-ups in a row that got no answer after all retries: then it is the endpoint that is away, not a record. */
const UNAVAILABLE_IN_A_ROW_MAX = 10

/** What a run's look-ups came to, beside what is saved of them. */
interface Tally {
  /** Asked without an answer: time-outs, errors of the server, what is not JSON. */
  unanswered: number
  /** Answered with something else than the documented answer. */
  foreign: number
  /** What is wrong with the endpoint, where that ended the look-ups. */
  end: EndpointError | null
}

/** What asking about one id came to: an answer to be saved, and whether anybody else is to be asked after it. */
interface Asked {
  readonly answer: Answer | null
  readonly isLast: boolean
}

/** Asks about one id. A definite refusal is an answer about that id; what is wrong with the endpoint ends the look-ups. */
const ask = (context: StreamContext, stream: LookupStream, tally: Tally) => {
  let unavailableInARow = 0
  const { source, decode } = stream
  const askAbout = (id: string, sentBefore: number): Effect.Effect<Asked, StreamFailure> => {
    const failed = (at: Date, error: string): Answer => ({
      id,
      checkedAt: at.toISOString(),
      row: null,
      raw: null,
      error,
    })
    return context.client.get(source.path(encodeURIComponent(id))).pipe(
      Effect.map(({ body, readAt }): Answer => {
        unavailableInARow = 0
        const about = unwrapRecord(body)?.[source.idField]
        if (about !== undefined && about !== id) {
          tally.unanswered++
          return failed(readAt, `The answer is about another ${source.idField}: none of it was stored.`)
        }
        const redacted = stream.redact(unwrapRecord(body) ?? {})
        const record = isJsonObject(redacted) ? redacted : {}
        const raw = stringifyJson(record)
        // What is nested too deep Postgres would store, and nobody could read it again.
        if (unstorableText(record, raw) !== undefined) return failed(readAt, UNSTORABLE)
        return Either.match(decode({ ...record, [source.idField]: id }), {
          onLeft: () => {
            tally.foreign++
            return failed(
              readAt,
              "The answer is not what is documented: no is_wallet_ready true or false in it.",
            )
          },
          onRight: ({ row }) => ({
            id,
            checkedAt: readAt.toISOString(),
            row,
            raw,
            error: null,
          }),
        })
      }),
      Effect.map((answer): Asked => ({ answer, isLast: false })),
      Effect.catchTag("EndpointError", error => {
        unavailableInARow = error.reason === "unavailable" ? unavailableInARow + 1 : 0
        if (error.reason === "unavailable" || error.reason === "malformed") tally.unanswered++
        const isAway = unavailableInARow >= UNAVAILABLE_IN_A_ROW_MAX
        const isLast = isAway || error.status === 403
        if (isLast) tally.end = error
        // In a pause that the API asked for nothing is sent: then it is not about this id, which keeps its place. A
        // refusal is booked though it ends all: were it about this id only, it would come first in each run, and end it.
        const isAboutId = !isAway && context.usage.requests > sentBefore
        return Effect.map(
          context.client.now,
          (now): Asked => ({ answer: isAboutId ? failed(now, error.message) : null, isLast }),
        )
      }),
    )
  }
  return (id: string) => Effect.suspend(() => askAbout(id, context.usage.requests))
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

/** What ended the look-ups is told of all of them: whose was the last is nobody's business who reads a status page. */
const aboutNobody = (stream: LookupStream, failure: StreamFailure): StreamFailure => {
  if (failure._tag !== "EndpointError") return failure
  const { reason, status } = failure
  const path = stream.source.path("{id}")
  const message = failure.message.replaceAll(failure.path, path)
  return new EndpointError({ reason, path, message, ...(status === undefined ? {} : { status }) })
}

/** Asks about every row of the parent stream that is due, the longest unasked first, up to the run's budget. */
export const runLookupStream = (
  context: StreamContext,
  stream: LookupStream,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, held, settings, account, usage, tell } = context
    const { due, queued, neverAsked } = yield* queueDue(sql, held, stream, {
      recheckSeconds: Duration.toSeconds(settings.readyRecheck),
      newerThan: context.mustReadAll ? yield* modeChangedAt(sql, held) : null,
      callsMax: settings.readyMaxCalls,
    })
    const done = { extracted: 0, inserted: 0, updated: 0, failed: 0 }
    const tally: Tally = { unanswered: 0, foreign: 0, end: null }
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
          const counts = yield* Effect.uninterruptible(saveAnswers(sql, held, stream, answers, usage))
          done.extracted += answers.length
          done.inserted += counts.inserted
          done.updated += counts.updated
          done.failed += counts.failed
          yield* tell(done)
        }),
      ),
    )
    if (tally.end !== null) return yield* aboutNobody(stream, tally.end)
    yield* clearQueue(sql, held)
    const nobodyAnswered = done.extracted > 0 && tally.foreign === done.extracted
    if (tally.unanswered > 0 || nobodyAnswered) {
      const unanswered = nobodyAnswered ? tally.foreign : tally.unanswered
      return yield* new EndpointError({
        reason: "unavailable",
        path: stream.source.path("{id}"),
        message:
          `${unanswered} of ${queued} look-ups got no proper answer: see wallet_readiness.check_error.` +
          " The next run asks again.",
      })
    }
    const notes = [
      ...(done.failed > 0 ? [`${done.failed} checks failed: see wallet_readiness.check_error.`] : []),
      ...leftOverNotes({ due, neverAsked, asked: done.extracted }),
    ]
    return { rejected: 0, removed: 0, leftOver: due - done.extracted, note: notes.join(" ") || null }
  })
