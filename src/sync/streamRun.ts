import { Deferred, Effect, Exit } from "effect"
import type { AccountSettings } from "../config/config.ts"
import type { AccountError, WarehouseError } from "../core/errors.ts"
import { firstOf } from "../core/firstOf.ts"
import { type Guarded, isList, isLookup, redacting, type Stream } from "../core/stream.ts"
import { Progress, type StreamProgress } from "../observe/progress.ts"
import { Usage } from "../paycombat/client/client.ts"
import { finishStream, startStream } from "../warehouse/ledger/runs.ts"
import { forgetNews } from "../warehouse/ledger/urgent.ts"
import { confirmPrivacy, settlePrivacy } from "../warehouse/maintain/privacyMode.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { finalize, withFinalizer } from "./finalize.ts"
import type { Holding } from "./holding.ts"
import { runListStream } from "./listRun.ts"
import { runLookupStream } from "./lookupRun.ts"
import { joinNotes, outcomeOf } from "./outcome.ts"

/** The run of one stream under its lease, booked as begun and as ended. */

export const notYet = (account: AccountSettings, stream: Stream): StreamProgress => ({
  account: account.name,
  stream: stream.name,
  status: "waiting",
  pages: 0,
  extracted: 0,
  total: undefined,
  inserted: 0,
  updated: 0,
  rejected: 0,
  unanswered: 0,
  message: null,
})

/** Told by the first stream whose token was refused, to all streams of the account. */
export type Stop = Deferred.Deferred<never, AccountError>

/** Runs a stream in the configured mode of privacy, after what is stored was brought into it as far as that can be. */
const privately = (
  { sql, lease, settings: { privacy }, tell }: Pick<StreamContext, "sql" | "lease" | "settings" | "tell">,
  stream: Stream,
  run: (guarded: Guarded, mustReadAll: boolean) => Effect.Effect<StreamResult, StreamFailure>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const guarded = redacting(stream, privacy)
    const { mustReadAll, note } = yield* settlePrivacy(sql, lease, guarded, privacy, tell)
    const result = yield* run(guarded, mustReadAll)
    const isConfirmed = mustReadAll && result.leftOver === 0
    const left = isConfirmed ? yield* confirmPrivacy(sql, lease, guarded, privacy) : null
    return { ...result, note: joinNotes(result.note, note, left) }
  })

/** Runs one stream under its lease. Its failures are booked, not passed on: a stream that fails stops no other. */
export const runStream = (
  context: Omit<StreamContext, "usage" | "tell" | "mustReadAll">,
  stream: Stream,
  { stop, holding }: { readonly stop: Stop; readonly holding: Holding },
): Effect.Effect<void, WarehouseError> =>
  Effect.gen(function* () {
    const progress = yield* Progress
    const usage = { requests: 0, retries: 0 }
    let told: StreamProgress = { ...notYet(context.account, stream), status: "running" }
    const tell = (change: Partial<StreamProgress>) =>
      Effect.suspend(() => {
        told = { ...told, ...change }
        return progress.tell(told)
      })
    const work = privately({ ...context, tell }, stream, (guarded, mustReadAll) => {
      const whole: StreamContext = { ...context, usage, tell, mustReadAll }
      return isList(guarded)
        ? runListStream(whole, guarded)
        : isLookup(guarded)
          ? runLookupStream(whole, guarded)
          : Effect.dieMessage(`${stream.name} has no source`)
    })
    const start = startStream(context.sql, context.lease, isList(stream) ? "full" : "lookup")
    const all = firstOf<StreamResult, StreamFailure, never>([
      Deferred.await(stop),
      work,
      holding.lost(context.lease),
    ])
    const run = Effect.zipRight(tell({}), all).pipe(
      Effect.tapErrorTag("AccountError", error => Deferred.fail(stop, error)),
      Effect.provideService(Usage, usage),
      Effect.tapDefect(cause => Effect.logError("unexpected failure", cause)),
    )
    const ended = (exit: Exit.Exit<StreamResult, StreamFailure>) => {
      const ending = outcomeOf(exit)
      const isReadToEnd = isList(stream) && Exit.isSuccess(exit)
      const forgotten = isReadToEnd ? Effect.ignore(forgetNews(context.sql, context.lease)) : Effect.void
      return Effect.zipRight(
        forgotten,
        finishStream(context.sql, context.lease, { ...ending, ...usage }),
      ).pipe(
        finalize(holding.isAway),
        Effect.zipRight(tell({ status: ending.status, message: ending.error ?? ending.note })),
      )
    }
    // A stream that waited for its parents may be left without Postgres by now.
    const lost = Effect.catchTag(holding.lost(context.lease), "LeaseError", () => Effect.void)
    const isBegun = Effect.zipRight(Effect.whenEffect(lost, holding.isAway), start)
    yield* withFinalizer(isBegun, run, ended)
  }).pipe(
    Effect.annotateLogs({ account: context.account.name, stream: stream.name }),
    Effect.tagMetrics("stream", stream.name),
    Effect.withSpan("stream", { attributes: { account: context.account.name, stream: stream.name } }),
  )
