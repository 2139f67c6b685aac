import { Effect } from "effect"
import { REJECTS_MAX_SHARE } from "../config/config.ts"
import type { PassFields } from "../core/documentedFields.ts"
import { EndpointError } from "../core/errors.ts"
import type { ListStream, Stream } from "../core/stream.ts"
import { counted } from "../core/words.ts"
import { readAndRejected } from "../warehouse/ledger/earlierRuns.ts"
import { bookFields } from "../warehouse/ledger/fields.ts"
import { commonestReason, type OpenAndStored, openAndStored } from "../warehouse/ledger/openRejects.ts"
import type { StreamContext, StreamFailure } from "./context.ts"

/** The bound on rejects, PAYCOMBAT_REJECTS_MAX. More of them fail the stream. */

/** Most rejects that never fail a stream, whatever their share, unless nothing else was read. */
const REJECTS_MAX_ALWAYS = 10

type BoundContext = Pick<StreamContext, "sql" | "lease" | "settings">

export const shareOf = ({ settings }: Pick<StreamContext, "settings">): number =>
  settings.rejectsMax ?? REJECTS_MAX_SHARE

/** True if `count` of `of` is more than ten and more than the share. */
export const isMany = (count: number, of: number, share: number): boolean =>
  count > REJECTS_MAX_ALWAYS && count > share * of

/** True if `count` of `of` records are more than the bound allows. All of them always are. */
export const isBeyond = (count: number, of: number, share: number): boolean =>
  count > 0 && (count >= of || isMany(count, of, share))

/** True if open rejects are beyond the bound. Rejected records count beside the rows; those that lack an item are rows. */
const isOpenMany = ({ rejected, lacking, stored }: OpenAndStored, share: number): boolean =>
  isBeyond(rejected + lacking, stored + rejected, share)

/** A share as `12.5%`. */
export const percent = (share: number): string => `${Number((share * 100).toFixed(2))}%`

const refuse = (
  context: BoundContext,
  stream: ListStream,
  finding: string,
): Effect.Effect<never, StreamFailure> =>
  Effect.gen(function* () {
    const commonest = yield* commonestReason(context.sql, context.lease)
    const why = commonest === undefined ? "" : ` Most often (${commonest.count} times): ${commonest.reason}.`
    return yield* new EndpointError({
      reason: "rejected",
      path: stream.source.paths[0]!,
      message:
        `${finding}, and PAYCOMBAT_REJECTS_MAX allows ${percent(shareOf(context))}.${why}` +
        ` Rows and rejects were kept. See \`paycombat-sync rejects list --stream ${stream.name}\` for the records,` +
        " and `paycombat-sync doctor` for how they differ from what is documented.",
    })
  })

/** Books the documented fields that the records of a pass carried, and those that could not be read. */
export const bookFieldsRead = (
  context: BoundContext,
  stream: Stream,
  fields: PassFields,
  isWholePass: boolean,
) =>
  bookFields(context.sql, context.lease, stream, {
    ...fields,
    isWholePass,
    share: shareOf(context),
  })

/** Fails if a pass rejected all its records, or more than the bound allows. A resumed pass is judged as one. */
export const refuseRejected = (
  context: BoundContext,
  stream: ListStream,
): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    const { read, rejected } = yield* readAndRejected(context.sql, context.lease)
    if (!isBeyond(rejected, read, shareOf(context))) return
    const share = percent(rejected / Math.max(read, rejected))
    return yield* refuse(
      context,
      stream,
      `${rejected} of ${read} records read (${share}) could not become a row`,
    )
  })

/** True if the bound allows fewer open rejects for the number of stored rows. */
export const isOpenBeyond = (
  context: BoundContext,
  stream: ListStream,
): Effect.Effect<boolean, StreamFailure> =>
  Effect.map(openAndStored(context.sql, context.lease, stream, shareOf(context)), counts =>
    isOpenMany(counts, shareOf(context)),
  )

/** Fails if `isOpenBeyond` holds at the end of a run. */
export const refuseOpen = (context: BoundContext, stream: ListStream): Effect.Effect<void, StreamFailure> =>
  Effect.gen(function* () {
    const counts = yield* openAndStored(context.sql, context.lease, stream, shareOf(context))
    if (!isOpenMany(counts, shareOf(context))) return
    const { rejected, lacking, stored } = counts
    const against = stored === 0 ? "no row is stored" : `${stored} rows are stored`
    const parts = [
      ...(rejected > 0 ? [`${counted(rejected, "record")} could not become a row`] : []),
      ...(lacking > 0 ? [`${counted(lacking, "record")} lack an item that could not be read`] : []),
    ]
    return yield* refuse(context, stream, `${parts.join(" and ")} while ${against}`)
  })
