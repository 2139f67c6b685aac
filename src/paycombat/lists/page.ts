import { Context, Option, Schema } from "effect"
import type { Json } from "../../core/json.ts"
import type { Share } from "../client/budget.ts"

/** Requests of one pass, so that a list that never ends does not keep a run for ever. */
export const MAX_PAGES = 1_000_000

/** The bound of a pass, as a setting: a test need not read a million pages to meet it. */
export class PagingBounds extends Context.Reference<PagingBounds>()("paycombat-sync/PagingBounds", {
  defaultValue: () => ({ maxPages: MAX_PAGES }),
}) {}

const PositiveInt = Schema.Int.pipe(Schema.positive())

/** The position at which a pass goes on. Plain JSON: a checkpoint stores it whole. */
const Position = Schema.Struct({
  page: PositiveInt,
  pageSize: PositiveInt,
  /** Ids that headed the list when the pass began: what tells later insertions at the front apart. */
  head: Schema.Array(Schema.String),
  /** Empty pages between others, to be read again at the end. Absent where there is none. */
  skipped: Schema.optionalWith(Schema.Array(PositiveInt), { exact: true }),
})
export type Position = typeof Position.Type

/** A position as it was stored. Undefined where it does not decode: the pass is then begun anew. */
export const decodePosition = (stored: unknown): Position | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(Position)(stored))

export interface Page {
  /** From 1. Not always rising: pages at either end are read again after the last. */
  readonly number: number
  readonly pageSize: number
  /** May be empty, and may repeat records of earlier pages. */
  readonly records: ReadonlyArray<Json>
  readonly readAt: Date
  /** Length of the answer that it came with. */
  readonly bytes: number
  /** The memory that it takes, to be released when it is written. Absent where it was read without a tab. */
  readonly share?: Share | undefined
  /** Length of the list as the API stated it last. A claim. */
  readonly total: number | undefined
  /** The position to go on at once all up to this page is committed; null with the last page. */
  readonly next: Position | null
  /** The pass is complete with this page, which is the stream's last element. */
  readonly isLast: boolean
}
