import type { PgTable } from "drizzle-orm/pg-core"
import { Either, ParseResult, type Schema, SchemaAST } from "effect"
import type { Json, JsonObject } from "./json.ts"
import { keyStreams, type LookupSource, type Open } from "./lookup.ts"
import { nonObjectPath } from "./nonObjectPath.ts"
import { menderOf, type Problem, type Unread } from "./optional.ts"
import { ALL_PERSONAL, type Privacy, type PrivacySpec, redactor } from "./privacy.ts"

/** A declaration, not code that runs, in one file under `streams/`. Extract, decode, normalize and load are common to all. */

/** A list endpoint, read page by page. Its path is unknown (`?`) until discovery has verified it. */
export interface ListSource {
  readonly kind: "list"
  /** Candidate paths, the likeliest first. Documented siblings suggest them; none is documented itself. */
  readonly paths: ReadonlyArray<string>
  /** Field with the record's id. It proves that a list is this stream's. */
  readonly idField: string
  /** True if a record with an id looks like this stream's. Several endpoints share the field `id`. */
  readonly recognizes: (record: JsonObject) => boolean
  /** Field, and column, with the record's merchant. It keeps another merchant's list from being stored. */
  readonly merchantField: string | null
  /** Candidate by-id endpoints, the likeliest first. They prove that a record is gone, and give the parts an item lacks. */
  readonly detail: null | {
    /** True if a list item lacks parts that only the by-id answer has. */
    readonly isNeeded: (record: JsonObject) => boolean
    /** `id` is already encoded for a path. */
    readonly paths: (id: string) => ReadonlyArray<string>
  }
  /** Times that show new and changed records. If absent, the list is always read in full. */
  readonly times?: {
    readonly created: string
    readonly updated: string
    /** Records that may change after their creation. Null if any may, so that only the time of change tells. */
    readonly open: Open | null
  }
}

/** A value of a column for Postgres: text that the column's type parses, or null. */
export type ColumnValue = string | boolean | ReadonlyArray<string> | null

/** Column name (as in Postgres) → value. */
export type Row = Readonly<Record<string, ColumnValue>>

/** The rows of one record: its own, and its children's by table name, in the record's order. */
export interface Normalized {
  readonly row: Row
  /** Time of the latest change at the source, or null if the record does not have it. */
  readonly sourceUpdatedAt: string | null
  /** Child tables that are not named here were not part of the record, and stay unchanged. */
  readonly children?: Readonly<Record<string, ReadonlyArray<Row>>>
}

/** The rows of a record, and its parts that could not be read. */
export interface Decoded extends Normalized {
  /** Optional parts that are null in the rows, and items of lists without a row; absent if everything was read. */
  readonly unread?: ReadonlyArray<Unread>
}

/**
 * A table whose rows come with their parent's record.
 *
 * - `replace`: rows are identified by their position; surplus positions are deleted
 * - `keep`: rows have ids of their own; a row that its parent no longer lists gets `removed_at`
 */
export interface Child {
  readonly table: PgTable
  readonly parentColumn: string
  readonly surplus: "replace" | "keep"
}

/**
 * History of a row that the API does not keep.
 *
 * - `first_seen`: the first time that a key was seen, in `timeColumn`
 * - `change`: a row at each time when `valueColumns` differ from the latest row
 * - `period`: a row for each unbroken time in which `valueColumns` stayed the same, from `timeColumn` to `endColumn`,
 *   which is null in the current period
 */
export interface History {
  readonly table: PgTable
  readonly kind: "first_seen" | "change" | "period"
  /** Name of the child table whose rows it records; the record's own row if absent. */
  readonly child?: string
  readonly timeColumn: string
  readonly endColumn?: string
  readonly keyColumns: ReadonlyArray<string>
  readonly valueColumns: ReadonlyArray<string>
  /** True if a row matters for this history. */
  readonly isAbout?: (row: Row) => boolean
}

/**
 * Facts about a stream's records beyond their schema: all other documented fields. A field of an object is named
 * `company.name`, a field of a list's items `order_summary.order_items[].quantity`.
 */
export interface StreamDocs {
  /** Documented fields that are not read, with the type of their values; `null` if only "null" is documented. */
  readonly others?: Readonly<Record<string, JsonType>>
  /** Fields that may be absent: upstream's (U), of an older or newer shape, or that replace one another. */
  readonly mayLack?: ReadonlyArray<string>
  /** Groups of fields with the same meaning in an older and a newer shape. One of a group may go when another comes. */
  readonly standIns?: ReadonlyArray<ReadonlyArray<string>>
  /** Fields that hold a code, with their known values (D or U), or none. Lists are open: another value is no error. */
  readonly values?: Readonly<Record<string, ReadonlyArray<string>>>
  readonly money?: Money
}

export type JsonType = "null" | "boolean" | "number" | "string" | "array" | "object"

/** The fields of a movement of money: the event, the amount, and the rest after its fees. */
export interface Money {
  readonly eventType: string
  readonly eventName: string
  readonly amount: string
  readonly currency: string
  readonly netAmount: string
  readonly feesCurrency: string
  readonly feesWithoutTax: string
  readonly taxOnFees: string
  readonly feesIncludingTax: string
}

export interface Stream<Source extends ListSource | LookupSource = ListSource | LookupSource> {
  /** Name in `--stream` and in the ledger. */
  readonly name: string
  /** Streams that are read before this one. Streams with a look-up's keys are included without a declaration. */
  readonly after: ReadonlyArray<string>
  /**
   * True if a token may do without the endpoint: if every candidate path answers 404 or 403 while core lists answer, the
   * stream is not available, and its runs end well. Core streams, on which all figures rest, declare nothing.
   */
  readonly isOptional: boolean
  readonly source: Source
  /** Part of the content hash: raised when `normalize` changes, so that stored rows are written again. */
  readonly version: number
  readonly table: PgTable
  readonly idColumn: string
  readonly children: ReadonlyArray<Child>
  readonly histories: ReadonlyArray<History>
  readonly personal: PrivacySpec
  readonly documented: StreamDocs
  readonly record: Schema.Schema.AnyNoContext
  /**
   * Decodes a record into its rows, or names the required field that does not decode. An optional field that cannot be
   * read is null in its row and named in `unread`; a state decodes as a whole or not at all.
   */
  readonly decode: (record: unknown) => Either.Either<Decoded, ParseResult.ParseIssue>
}

export type ListStream = Stream<ListSource>
export type LookupStream = Stream<LookupSource>

interface Declaration<Source extends ListSource | LookupSource, A, I>
  extends Pick<Stream<Source>, "name" | "source" | "version" | "table" | "idColumn">,
    Partial<Pick<Stream, "after" | "isOptional" | "children" | "histories" | "personal" | "documented">> {
  readonly record: Schema.Schema<A, I>
  readonly normalize: (record: A) => Normalized
}

/** Most unreadable parts of one record that are listed one by one; a record with more of them is a reject. */
const UNREAD_MAX = 1_000

/** Decodes a record without the optional parts that do not decode; a state as a whole or not at all. */
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
    // A field may be required because another one is null now. Its own reason is more useful than "is missing".
    const own = unread.find(({ path }) => path.join(".") === problem.path.join("."))
    return refuse(sent, own ?? problem)
  }
}

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
    isOptional: false,
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

/** A stream whose records are redacted first. Only `redacting` creates one, and only such a stream can be loaded. */
export type Guarded<S extends Stream = Stream> = S & {
  /** Keeps, hashes or drops the personal data of a record. */
  readonly redact: (record: Json) => Json
  readonly [guard]: true
}

/** Makes a stream loadable, in a privacy mode. */
export const redacting = <S extends Stream>(stream: S, privacy: Privacy): Guarded<S> =>
  ({ ...stream, redact: redactor(stream.personal, stream.source.idField, privacy) }) as unknown as Guarded<S>

export function isList(stream: Guarded): stream is Guarded<ListStream>
export function isList(stream: Stream): stream is ListStream
export function isList(stream: Stream): stream is ListStream {
  return stream.source.kind === "list"
}

/** True if its rows are states of the asked keys, not records. */
export const isState = (stream: Stream): boolean =>
  stream.source.kind === "lookup" && stream.source.answer.kind === "state"

export function isLookup(stream: Guarded): stream is Guarded<LookupStream>
export function isLookup(stream: Stream): stream is LookupStream
export function isLookup(stream: Stream): stream is LookupStream {
  return stream.source.kind === "lookup"
}
