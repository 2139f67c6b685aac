import { Context, Option, Schema } from "effect"
import type { Json } from "../../core/json.ts"
import type { Share } from "../client/budget.ts"

/** Most requests of one pass, so that a list without an end does not keep a run for ever. */
export const MAX_PAGES = 1_000_000

/** The bound of a pass as a setting, so that a test need not read a million pages. */
export class PagingBounds extends Context.Reference<PagingBounds>()("paycombat-sync/PagingBounds", {
  defaultValue: () => ({ maxPages: MAX_PAGES }),
}) {}

const PositiveInt = Schema.Int.pipe(Schema.positive())

/** The position from which a pass continues. Plain JSON: a checkpoint stores it whole. */
const Position = Schema.Struct({
  page: PositiveInt,
  pageSize: PositiveInt,
  /** Ids at the head of the list when the pass began. They tell later insertions at the front apart. */
  head: Schema.Array(Schema.String),
  /** Empty pages between others, to be read again at the end. Absent if there is none. */
  skipped: Schema.optionalWith(Schema.Array(PositiveInt), { exact: true }),
})
export type Position = typeof Position.Type

/** Decodes a stored position. Undefined if it does not decode: the pass then starts again. */
export const decodePosition = (stored: unknown): Position | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(Position)(stored))

export interface Page {
  /** Starts at 1. It does not always rise, because pages at either end are read again after the last. */
  readonly number: number
  readonly pageSize: number
  /** May be empty, and may repeat records of earlier pages. */
  readonly records: ReadonlyArray<Json>
  readonly readAt: Date
  readonly bytes: number
  /** The memory that it takes, to be released when it is written. Absent if it was read without a tab. */
  readonly share?: Share | undefined
  /** Length of the list that the API stated last. A claim. */
  readonly total: number | undefined
  /** The position to continue from when all pages up to this one are committed; null with the last page. */
  readonly next: Position | null
  /** True if the pass is complete with this page, which is the stream's last element. */
  readonly isLast: boolean
}
