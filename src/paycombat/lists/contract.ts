import { Option, Schema } from "effect"

/** The contract of a list: the way to read it, as discovery found it and as it is stored between runs. */

const PositiveInt = Schema.Int.pipe(Schema.positive())
const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

export const TimeField = Schema.Literal("created", "updated")
export type TimeField = typeof TimeField.Type

/** Proof from the latest pass over the whole list, for incremental runs. */
export const ListProof = Schema.Struct({
  order: optional(TimeField),
  pages: Schema.NonNegativeInt,
  /** The id after which the next look-ups of open records continue. */
  askedTo: optional(Schema.String),
})
export type ListProof = typeof ListProof.Type

const Paginator = Schema.Literal("pageNumber", "offset")
export type Paginator = typeof Paginator.Type

/** Derives the paginator from a parameter's name (?), once, when a list is discovered. */
export const paginatorOf = (pageParam: string): Paginator =>
  /^(offset|skip|start|from)$/i.test(pageParam) ? "offset" : "pageNumber"

const StoredContract = Schema.Struct({
  path: Schema.NonEmptyString,
  pageParam: Schema.NonEmptyString,
  sizeParam: Schema.NonEmptyString,
  /** Number of the first page: 1 (U), or 0. Meaningless if positions are counted in records. */
  firstPage: Schema.Literal(0, 1),
  /** The unit of this parameter; `pageNumber` if absent. */
  paginator: optional(Paginator),
  /** The place of the records in the answer, as keys from its top: `data`, `data.items`. */
  at: Schema.String,
  /** Records on the first page. If the API allows fewer than requested, this is its cap. */
  pageSize: PositiveInt,
  /** Largest size that the API accepts; null if it refused none. */
  maxPageSize: Schema.NullOr(PositiveInt),
  /** True if the answers state the length of the list. */
  hasTotal: Schema.Boolean,
  /** True if both parameters were seen to take effect. Until then, each run tries the candidates again. */
  pagingProven: Schema.Boolean,
  /** True if a record of this stream was read from it in this run. An empty list proves nothing. */
  verified: Schema.Boolean,
  /** The by-id endpoint that answered last, with `{id}` for the id. Each run tries it first, and proves it again. */
  byId: optional(Schema.String),
})

export interface Contract extends Schema.Schema.Type<typeof StoredContract> {
  readonly learned?: ListProof
}

export type Addressing = Pick<Contract, "path" | "pageParam" | "sizeParam" | "firstPage" | "paginator">

const decodeStored = Schema.decodeUnknownOption(StoredContract)
const decodeProof = Schema.decodeUnknownOption(Schema.Struct({ learned: ListProof }))

/**
 * Decodes a contract that this or another version stored. Undefined if it does not decode: the list is then discovered
 * again. A proof that does not decode is left out: the list is then read in full.
 */
export const decodeContract = (stored: unknown): Contract | undefined => {
  const decoded = Option.getOrUndefined(decodeStored(stored))
  if (decoded === undefined) return undefined
  // Earlier versions did not store the paginator, because it followed from the parameter's name.
  const { paginator = paginatorOf(decoded.pageParam), ...rest } = decoded
  return {
    ...rest,
    ...(paginator === "offset" ? { paginator } : {}),
    ...Option.getOrElse(decodeProof(stored), () => ({})),
  }
}
