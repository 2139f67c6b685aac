import { Deferred, Effect } from "effect"
import type { AccountError, WarehouseError } from "../core/errors.ts"
import { firstOf } from "../core/fibers.ts"
import { type Guarded, isList, isLookup, redacting, type Stream } from "../core/stream.ts"
import type { TellChange } from "../observe/progress.ts"
import { Usage } from "../paycombat/client/client.ts"
import { forgetNews } from "../warehouse/ledger/urgent.ts"
import { confirmPrivacy, settlePrivacy } from "../warehouse/maintain/privacyMode.ts"
import { runIfAvailable } from "./availability.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import type { Holding } from "./holding.ts"
import { runUnderLease } from "./lifecycle.ts"
import { runListStream } from "./listRun.ts"
import { runLookupStream } from "./lookupRun.ts"
import { joinNotes } from "./outcome.ts"

/** A sync's run of one stream: its privacy mode, then its list or its look-ups. */

/** Fails when the API refuses the account's token to one of its streams. All of them then stop. */
export type Stop = Deferred.Deferred<never, AccountError>

/** Brings stored rows into the configured privacy mode as far as that can be done, then runs the stream in it. */
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

const runSource = (context: StreamContext, stream: Guarded): Effect.Effect<StreamResult, StreamFailure> => {
  if (isLookup(stream)) return runLookupStream(context, stream)
  if (!isList(stream)) return Effect.dieMessage(`${stream.name} has no source`)
  // The list was read to its end: records that urgent work stored before say no more that others may be behind them.
  const forget = Effect.ignore(forgetNews(context.sql, context.lease))
  return Effect.zipLeft(runListStream(context, stream), forget)
}

/** Runs one stream under its lease. Its failures are booked, not passed on. */
export const runStream = (
  context: Omit<StreamContext, "usage" | "tell" | "mustReadAll">,
  stream: Stream,
  { stop, holding }: { readonly stop: Stop; readonly holding: Holding },
): Effect.Effect<void, WarehouseError> => {
  const { sql, lease } = context
  const labels = { account: lease.account, stream: stream.name }
  const usage = { requests: 0, retries: 0 }
  const work = (tell: TellChange) => {
    const read = privately({ ...context, tell }, stream, (guarded, mustReadAll) => {
      const own = { ...context, usage, tell, mustReadAll }
      const run = runSource(own, guarded)
      return stream.isOptional ? runIfAvailable(own, stream, run) : run
    })
    return firstOf<StreamResult, StreamFailure, never>([Deferred.await(stop), read]).pipe(
      Effect.tapErrorTag("AccountError", error => Deferred.fail(stop, error)),
      Effect.provideService(Usage, usage),
    )
  }
  const mode = isList(stream) ? "full" : "lookup"
  return runUnderLease(sql, { lease, mode, holding, usage }, work).pipe(
    Effect.tagMetrics("stream", stream.name),
    Effect.withSpan("stream", { attributes: labels }),
  )
}
