import type { PgTable } from "drizzle-orm/pg-core"
import { Either, ParseResult, type Schema, SchemaAST } from "effect"
import type { Documented } from "./documented.ts"
import type { Json, JsonObject } from "./json.ts"
import { keyStreams, type LookupSource, type Open } from "./lookup.ts"
import { nonObjectPath } from "./nonObjectPath.ts"
import { menderOf, type Problem, type Unread } from "./optional.ts"
import { ALL_PERSONAL, type Personal, type Privacy, redactor } from "./personal.ts"

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
  /** True if a record with an id looks like this stream's: `id` alone is shared by several endpoints. */
  readonly recognizes: (record: JsonObject) => boolean
  /** Field, and column, that says whose record it is: another merchant's list must not be taken for this one's. */
  readonly merchantField: string | null
  /**
   * Candidate by-id endpoints, the likeliest first; `null` where there is none. They tell whether a record that the
   * list does not show any more is gone, and bring what a list item lacks.
   */
  readonly detail: null | {
    /** True if a list item lacks parts that only the by-id answer has. */
    readonly isNeeded: (record: JsonObject) => boolean
    /** `id` comes encoded for a path. */
    readonly paths: (id: string) => ReadonlyArray<string>
  }
  /** What tells new and changed records; absent where records change without a time of theirs saying so: always read whole. */
  readonly times?: {
    /** Fields that hold when a record was made, and when it changed last. */
    readonly created: string
    readonly updated: string
    /** Which records may still change once they are made; null where any may, so that only the time of change tells. */
    readonly open: Open | null
  }
}

/** A value of a column as it goes to Postgres: text that the column's type parses, or null. */
export type ColumnValue = string | boolean | ReadonlyArray<string> | null

/** Column name (as in Postgres) → value. */
export type Row = Readonly<Record<string, ColumnValue>>

/** The rows that one record becomes: its own, and its children's by table name, in the record's order. */
export interface Normalized {
  readonly row: Row
  /** When the source last changed the record, or null where it does not say. */
  readonly sourceUpdatedAt: string | null
  /** A child table that is not named here was not part of the record and stays as it is. */
  readonly children?: Readonly<Record<string, ReadonlyArray<Row>>>
}

/** What a record became, and which of its parts could not be read. */
export interface Decoded extends Normalized {
  /** Optional parts that are null in the rows, and items of lists that are no row; absent where all was read. */
  readonly unread?: ReadonlyArray<Unread>
}

/**
 * A table whose rows come with their parent's record.
 *
 * - `replace`: rows are known by their position; surplus positions are deleted
 * - `keep`: rows have an id of their own; one that its parent no longer lists gets `removed_at`
 */
export interface Child {
  readonly table: PgTable
  readonly parentColumn: string
  readonly surplus: "replace" | "keep"
}

/**
 * What is recorded about a row because it cannot be fetched again later.
 *
 * - `first_seen`: the first time that a key was seen, in `timeColumn`
 * - `change`: a row at each time when `valueColumns` differ from the latest before it
 * - `period`: a row for each unbroken time in which `valueColumns` were the same, from `timeColumn` to `endColumn`, which is
 *   null of the one that goes on
 */
export interface History {
  readonly table: PgTable
  readonly kind: "first_seen" | "change" | "period"
  /** Name of the child table whose rows it is about; the record's own row where absent. */
  readonly child?: string
  readonly timeColumn: string
  /** Only of a `period`. */
  readonly endColumn?: string
  readonly keyColumns: ReadonlyArray<string>
  readonly valueColumns: ReadonlyArray<string>
  /** True if a row says anything for this history. */
  readonly isAbout?: (row: Row) => boolean
}

export interface Stream<Source extends ListSource | LookupSource = ListSource | LookupSource> {
  /** As in `--stream`, and in the ledger. */
  readonly name: string
  /** Streams that are read before it; those that name a look-up's keys are among them without being declared. */
  readonly after: ReadonlyArray<string>
  readonly source: Source
  /** Raised when `normalize` changes: part of the content hash, so that stored rows are written anew on the next read. */
  readonly version: number
  readonly table: PgTable
  readonly idColumn: string
  readonly children: ReadonlyArray<Child>
  readonly histories: ReadonlyArray<History>
  /** What of its records is not about a person, and whose they are. */
  readonly personal: Personal
  /** What is documented of its records beyond their schema. */
  readonly documented: Documented
  /** What its records look like, for who wants to know field by field. */
  readonly record: Schema.Schema.AnyNoContext
  /**
   * Decodes a record and makes its rows, or says which required field is in the way. An optional field that cannot be
   * read is null in its row and named in `unread`; a state decodes whole or not at all.
   */
  readonly decode: (record: unknown) => Either.Either<Decoded, ParseResult.ParseIssue>
}

export type ListStream = Stream<ListSource>
export type LookupStream = Stream<LookupSource>

interface Declaration<Source extends ListSource | LookupSource, A, I>
  extends Pick<Stream<Source>, "name" | "source" | "version" | "table" | "idColumn">,
    Partial<Pick<Stream, "after" | "children" | "histories" | "personal" | "documented">> {
  readonly record: Schema.Schema<A, I>
  readonly normalize: (record: A) => Normalized
}

/** Parts of one record that may be listed one by one; a record with more of them that cannot be read is a reject. */
const UNREAD_MAX = 1_000

/** Decodes a record without those of its optional parts that do not decode; a state whole or not at all. */
const decoderOf = <A, I>(record: Schema.Schema<A, I>, isLenient: boolean) => {
  const decodeWhole = ParseResult.decodeUnknownEither(record)
  const misplaced = nonObjectPath(SchemaAST.encodedAST(record.ast))
  const { problemOf, mend } = menderOf(record.ast)
  const refuse = (value: unknown, { path, reason }: Problem) =>
    Either.left(
      path.reduceRight<ParseResult.ParseIssue>(
        (inner, key) => new ParseResult.Pointer(key, value, inner),
        new ParseResult.Type(record.ast, value, reason),
      ),
    )
  return (
    value: unknown,
  ): Either.Either<{ readonly read: A; readonly unread: ReadonlyArray<Unread> }, ParseResult.ParseIssue> => {
    const sent = value as Json
    if (misplaced(sent) === undefined) {
      const whole = decodeWhole(sent)
      if (Either.isRight(whole)) return Either.right({ read: whole.right, unread: [] })
    }
    const { record: mended, unread } = isLenient ? mend(sent) : { record: sent, unread: [] }
    if (unread.length > UNREAD_MAX)
      return refuse(sent, { path: [], reason: `has more than ${UNREAD_MAX} parts that cannot be read` })
    const problem = problemOf(mended)
    if (problem === undefined) return Either.map(decodeWhole(mended), read => ({ read, unread }))
    // A field may be needed because another one is null now: its own reason helps more than that it is missing.
    const own = unread.find(({ path }) => path.join(".") === problem.path.join("."))
    return refuse(sent, own ?? problem)
  }
}

/** Makes a stream of its declaration: a source, a table, a record schema and `normalize`. */
export const defineStream = <Source extends ListSource | LookupSource, A, I>({
  record,
  normalize,
  ...declared
}: Declaration<Source, A, I>): Stream<Source> => {
  const after = [
    ...(declared.after ?? []),
    ...(declared.source.kind === "lookup" ? keyStreams(declared.source) : []),
  ]
  const decode = decoderOf(
    record,
    declared.source.kind === "list" || declared.source.answer.kind === "records",
  )
  return {
    children: [],
    histories: [],
    personal: ALL_PERSONAL,
    documented: {},
    ...declared,
    after: [...new Set(after)],
    record,
    decode: value =>
      Either.map(decode(value), ({ read, unread }) => {
        const normalized = normalize(read)
        return { ...normalized, ...(unread.length === 0 ? {} : { unread }) }
      }),
  }
}

declare const guard: unique symbol

/**
 * A stream whose records are redacted before anything else is done with them. Only `redacting` makes one, and only such a
 * stream can be loaded: personal data cannot be stored because a call was forgotten.
 */
export type Guarded<S extends Stream = Stream> = S & {
  /** Keeps, hashes or drops what a record says about people. */
  readonly redact: (record: Json) => Json
  readonly [guard]: true
}

/** Makes a stream that can be loaded, in a mode of privacy. */
export const redacting = <S extends Stream>(stream: S, privacy: Privacy): Guarded<S> =>
  ({ ...stream, redact: redactor(stream.personal, stream.source.idField, privacy) }) as unknown as Guarded<S>

export function isList(stream: Guarded): stream is Guarded<ListStream>
export function isList(stream: Stream): stream is ListStream
export function isList(stream: Stream): stream is ListStream {
  return stream.source.kind === "list"
}

/** True if its rows are states of what was asked about, and no records. */
export const isState = (stream: Stream): boolean =>
  stream.source.kind === "lookup" && stream.source.answer.kind === "state"

export function isLookup(stream: Guarded): stream is Guarded<LookupStream>
export function isLookup(stream: Stream): stream is LookupStream
export function isLookup(stream: Stream): stream is LookupStream {
  return stream.source.kind === "lookup"
}
