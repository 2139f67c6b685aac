import { Chunk, Duration, Effect, Option, Stream as S } from "effect"
import { defaultsOf } from "../config/lookups.ts"
import { addCounts, type Counts, NO_COUNTS } from "../core/counts.ts"
import { addFields, NO_FIELDS } from "../core/documentedFields.ts"
import type { Guarded, LookupStream } from "../core/stream.ts"
import { figuresOf } from "../observe/progress.ts"
import { probedKeys } from "../paycombat/client/lookup.ts"
import { openRejects } from "../warehouse/ledger/openRejects.ts"
import { bookFailed, failedBefore } from "../warehouse/lookups/checks.ts"
import { type Answer, type Lookup, lookupOf, subjectOf } from "../warehouse/lookups/lookup.ts"
import { clearQueue, dueAfter, type Queue, queueDue } from "../warehouse/lookups/queue.ts"
import { saveRecords } from "../warehouse/lookups/records.ts"
import { stateFields } from "../warehouse/lookups/stateFields.ts"
import { saveStates } from "../warehouse/lookups/states.ts"
import { modeChangedAt } from "../warehouse/maintain/privacyMode.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { findPath, forgetPath, isThere, makeAsk, type Tally } from "./lookupAsk.ts"
import { refuseFailed, refuseIncompleteParent } from "./lookupBound.ts"
import { bookFieldsRead } from "./rejectBound.ts"

/** Makes one look-up per key that is due: queue → ask, within the account's bounds → save the answers as they come. */

const QUEUE_READ = 500
/** Most answers that are saved together, and the longest time that an answer waits: a crash loses no more. */
const SAVE_RECORDS = 1_000
const SAVE_AGE = "2 seconds"

interface Saved {
  readonly asked: number
  readonly failed: number
  readonly unanswered: number
  /** Failed look-ups whose look-up before did not fail, and those of them without an answer. */
  readonly newlyFailed: number
  readonly newlyUnanswered: number
}

const leftOverNotes = (
  lookup: Lookup,
  { due, neverAsked }: Queue,
  { asked }: Saved,
): ReadonlyArray<string> => {
  const leftOver = due - asked
  if (leftOver <= 0) return []
  return [
    `${leftOver} left over, ${Math.max(0, neverAsked - asked)} of them never asked: they come first in the next run.`,
    // It stays so for as long as new keys come faster than they can be asked about.
    ...(asked > 0 && neverAsked >= asked && due > neverAsked
      ? [`All calls went to ${subjectOf(lookup)} that were never asked about: no older answer was renewed.`]
      : []),
  ]
}

const reasonsIn = ({ name, source }: LookupStream): string =>
  source.answer.kind === "state" ? `${name}.check_error` : "check_error in sync.lookup_keys"

const notesOf = (lookup: Lookup, queue: Queue, saved: Saved): string | null => {
  const { stream } = lookup
  const { failed, unanswered } = saved
  const refused = failed - unanswered
  const places = [reasonsIn(stream), stream.source.seeAlso].filter(place => place !== undefined)
  const notes = [
    ...(unanswered > 0
      ? [
          `${unanswered} of ${queue.queued} look-ups got no answer, and are made again in the next run: see` +
            ` ${places.join(", and ")}.`,
        ]
      : []),
    ...(refused > 0 ? [`${refused} checks failed: see ${reasonsIn(stream)}.`] : []),
    ...leftOverNotes(lookup, queue, saved),
  ]
  return notes.join(" ") || null
}

const fillQueue = (
  { sql, lease, settings, budget, mustReadAll }: StreamContext,
  lookup: Lookup,
): Effect.Effect<Queue, StreamFailure> =>
  Effect.gen(function* () {
    const { source, name } = lookup.stream
    const { maxAge, maxCalls } = settings.lookups[name] ?? defaultsOf(source)
    const { otherwise } = source.maxCalls
    const queue = yield* queueDue(sql, lease, lookup, {
      recheckSeconds: maxAge === null ? null : Duration.toSeconds(maxAge),
      newerThan: mustReadAll ? yield* modeChangedAt(sql, lease) : null,
      callsMax: maxCalls ?? (Number.isFinite(budget.calls) ? budget.calls : (otherwise ?? budget.calls)),
    })
    budget.calls = Math.max(0, budget.calls - queue.queued)
    return queue
  })

const keysOf = ({ sql, lease }: StreamContext, queued: number): S.Stream<string, StreamFailure> =>
  S.paginateChunkEffect(0, position =>
    Effect.map(dueAfter(sql, lease, position, Math.min(QUEUE_READ, queued - position)), keys => {
      const next = position + keys.length
      const isEnd = keys.length === 0 || next >= queued
      return [Chunk.unsafeFromArray(keys), isEnd ? Option.none() : Option.some(next)]
    }),
  )

interface Save {
  readonly save: (answers: ReadonlyArray<Answer>) => Effect.Effect<Counts, StreamFailure>
  /** Books the fields that all answers had. Answers the number of open rejects of the stream. */
  readonly end: Effect.Effect<number, StreamFailure>
}

export const makeSave = (context: StreamContext, { stream }: Lookup): Save => {
  const { sql, lease, usage, beside } = context
  const fields = { current: NO_FIELDS }
  const booked = Effect.suspend(() => bookFieldsRead(context, stream, fields.current, false))
  if (stream.source.answer.kind === "state")
    return {
      save: answers =>
        Effect.gen(function* () {
          const read = yield* stateFields(sql, lease.account, stream, answers)
          const counts = yield* saveStates(sql, lease, stream, answers, { ...usage, lost: read.lost })
          fields.current = addFields(fields.current, read.fields)
          return counts
        }).pipe(Effect.uninterruptible),
      end: Effect.as(booked, 0),
    }
  return {
    save: answers => saveRecords(sql, lease, stream, answers, { ...usage, fields, beside }),
    end: Effect.zipRight(booked, openRejects(sql, lease)),
  }
}

const saveAnswers = (
  { sql, lease, tell }: StreamContext,
  lookup: Lookup,
  save: ReturnType<typeof makeSave>["save"],
  answers: S.Stream<Answer, StreamFailure>,
): Effect.Effect<Saved, StreamFailure> =>
  Effect.gen(function* () {
    let counts = NO_COUNTS
    const saved = { asked: 0, failed: 0, newlyFailed: 0, newlyUnanswered: 0 }
    const saveBatch = (batch: ReadonlyArray<Answer>) =>
      Effect.gen(function* () {
        const failed = batch.filter(({ error }) => error !== null)
        const keys = failed.map(({ key }) => key)
        const again = yield* failedBefore(sql, lease, lookup, keys)
        const first = failed.filter(({ key }) => !again.has(key))
        counts = addCounts(counts, yield* save(batch))
        saved.asked += batch.length
        saved.failed += failed.length
        saved.newlyFailed += first.length
        saved.newlyUnanswered += first.filter(({ isUnanswered }) => isUnanswered).length
        yield* tell(figuresOf(counts))
      })
    yield* answers.pipe(
      S.groupedWithin(SAVE_RECORDS, SAVE_AGE),
      S.runForEach(chunk => saveBatch(Chunk.toReadonlyArray(chunk))),
    )
    return { ...saved, unanswered: counts.unanswered }
  })

/**
 * Asks about every key that is due, up to the run's budget: first the keys never asked about, then the oldest answers.
 * Fails if more than a few fail (`refuseFailed`), or if a stream that names the keys did not end well.
 */
export const runLookupStream = (
  context: StreamContext,
  stream: Guarded<LookupStream>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease, settings, account, tell } = context
    const { keys } = settings.lookups[stream.name] ?? defaultsOf(stream.source)
    const lookup = lookupOf(stream, context.streams, keys)
    const queue = yield* fillQueue(context, lookup)
    const { due, queued } = queue
    const tally: Tally = { unanswered: 0, mistaken: 0, answered: null, end: null }
    const { save, end } = makeSave(context, lookup)
    yield* tell({ total: queued })
    const probed = yield* dueAfter(sql, lease, 0, Math.min(probedKeys(stream), queued))
    const path = yield* findPath(context, lookup, probed).pipe(
      Effect.tapError(() => Effect.ignore(clearQueue(sql, lease))),
    )
    const answers = keysOf(context, queued).pipe(
      S.mapEffect(makeAsk(context, lookup, path, tally), {
        concurrency: account.concurrency,
        unordered: true,
      }),
      // The end is no failure here: the answers before it are saved, so that the next run begins with other keys.
      S.takeUntil(({ isLast }) => isLast),
      S.filterMap(({ answer }) => Option.fromNullable(answer)),
    )
    const saved = yield* saveAnswers(context, lookup, save, answers)
    if (tally.end !== null) return yield* tally.end
    yield* clearQueue(sql, lease)
    const failing = yield* bookFailed(sql, lease, lookup)
    const rejected = yield* end
    const { asked, failed, unanswered } = saved
    const hasAllFailed = failed > 0 && failed === asked && !(yield* isThere(context, lookup, path, tally))
    if (hasAllFailed) yield* forgetPath(context, lookup)
    yield* refuseFailed(context, lookup, {
      ...saved,
      queued,
      failing,
      // In a pause that the API asked for, some look-ups were not made at all.
      unasked: tally.unanswered - unanswered,
      mistaken: tally.mistaken,
      hasAllFailed,
    })
    yield* refuseIncompleteParent(context, stream, { count: asked - unanswered, of: queued })
    return { rejected, removed: 0, leftOver: due - asked, note: notesOf(lookup, queue, saved) }
  })
