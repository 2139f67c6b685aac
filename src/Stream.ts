import type { Schema } from "effect"
import type { PgTable } from "drizzle-orm/pg-core"
import type { Json, JsonObject } from "./Json.ts"

/**
 * What a stream is: a declaration, not code that runs. One file under `streams/` declares one stream; the
 * pipeline does the rest (extract → decode → normalize → load), the same way for each.
 */

/** A list endpoint, read page by page. Its path is unknown (`?`) until discovery proved it. */
export interface ListSource {
  readonly kind: "list"
  /** Candidate paths, the likeliest first; documented siblings suggest them, none is documented itself. */
  readonly paths: ReadonlyArray<string>
  /** Field that holds the record's id; what proves that a list is this stream's. */
  readonly idField: string
  /** Whether a record with an id looks like this stream's: `id` alone is shared by several endpoints. */
  readonly recognizes: (record: JsonObject) => boolean
  /** Candidate by-id endpoints for a list item that lacks parts of the record; `null` when the list item is whole. */
  readonly detail: null | {
    readonly isNeeded: (record: JsonObject) => boolean
    readonly paths: (id: string) => ReadonlyArray<string>
  }
}

/** One call for each row of another stream; the answer is that row's state, not a listed record. */
export interface LookupSource {
  readonly kind: "lookup"
  readonly path: (id: string) => string
}

/** A value of a column as it goes to Postgres: text that the column's type parses, or null. */
export type ColumnValue = string | boolean | null
/** Column name → value. */
export type Row = Readonly<Record<string, ColumnValue>>

/** The rows that one record becomes: its own, and those of its children by table name, in order. */
export interface Normalized {
  readonly row: Row
  readonly children?: Readonly<Record<string, ReadonlyArray<Row>>>
}
