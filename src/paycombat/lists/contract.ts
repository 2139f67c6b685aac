import { Option, Schema } from "effect"

/** How a list is read: what discovery found, as it is stored between runs. */

const PositiveInt = Schema.Int.pipe(Schema.positive())
const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** A time of a record: that of its creation, or that of its latest change. */
export const TimeField = Schema.Literal("created", "updated")
export type TimeField = typeof TimeField.Type

/**
 * A filter by which a list can be asked for what is newer than a time. Upstream has `start_time` and `end_time` (U), in
 * seconds or milliseconds (?): believed where a request with them answers exactly the records that are known to be
 * so new. A filter that is ignored answers all records, one in the other unit all or none.
 */
export const TimeFilter = Schema.Struct({
  unit: Schema.Literal("seconds", "milliseconds"),
  /** The end must be named too. */
  hasEnd: Schema.Boolean,
  /** The time of a record that it goes by. */
  by: TimeField,
})
export type TimeFilter = typeof TimeFilter.Type

/** Proof from the latest pass over the whole list, for runs that do not read it whole. */
export const ListProof = Schema.Struct({
  /** Newest first by this time. */
  order: optional(TimeField),
  filter: optional(TimeFilter),
  /** The newest time by which the filter goes, in milliseconds: known up to there. Grows with each run. */
  newest: optional(Schema.Finite),
  pages: Schema.NonNegativeInt,
  /** The id after which asking again about records that may still change goes on. */
  askedTo: optional(Schema.String),
})
export type ListProof = typeof ListProof.Type

/** The unit that a paging parameter counts: pages, or records to skip. */
const Paginator = Schema.Literal("pageNumber", "offset")
export type Paginator = typeof Paginator.Type

/** The paginator of a parameter by its name (?). It is decided once, when a list is discovered. */
export const paginatorOf = (pageParam: string): Paginator =>
  /^(offset|skip|start|from)$/i.test(pageParam) ? "offset" : "pageNumber"

const Found = Schema.Struct({
  path: Schema.NonEmptyString,
  /** Name of the parameter that says which page. */
  pageParam: Schema.NonEmptyString,
  sizeParam: Schema.NonEmptyString,
  /** Number of the first page: 1 (U), or 0. Without meaning where positions are counted in records. */
  firstPage: Schema.Literal(0, 1),
  /** The unit that this parameter counts; `pageNumber` where absent. */
  paginator: optional(Paginator),
  /** The place of the records in the answer, as keys from its top: `data`, `data.items`. */
  at: Schema.String,
  /** Records that the first page held; where the API allows fewer than was asked, its cap. */
  pageSize: PositiveInt,
  /** Largest size that the API accepts to be asked; null where it refused none. */
  maxPageSize: Schema.NullOr(PositiveInt),
  /** The answers state the length of the list. */
  hasTotal: Schema.Boolean,
  /** Both parameters were seen to take effect. Until they were, each run tries the candidates again. */
  pagingProven: Schema.Boolean,
  /** A record of this very stream was read through it on this run. An empty list proves nothing. */
  verified: Schema.Boolean,
  /** The by-id endpoint that answered last, with `{id}` for the id. Tried first, and proven anew by each run. */
  byId: optional(Schema.String),
})

/** Plain JSON. */
export interface Contract extends Schema.Schema.Type<typeof Found> {
  readonly learned?: ListProof
}

/** How a list is asked for one of its pages. */
export type Addressing = Pick<Contract, "path" | "pageParam" | "sizeParam" | "firstPage" | "paginator">

const decodeFound = Schema.decodeUnknownOption(Found)
const decodeProof = Schema.decodeUnknownOption(Schema.Struct({ learned: ListProof }))

/**
 * A contract as it was stored, by this or another version. Undefined where it does not decode: the list is then
 * discovered again. A proof that does not decode is left out: the list is then read whole.
 */
export const decodeContract = (stored: unknown): Contract | undefined => {
  const found = Option.getOrUndefined(decodeFound(stored))
  if (found === undefined) return undefined
  // Earlier versions did not store the paginator: it followed from the parameter's name.
  const { paginator = paginatorOf(found.pageParam), ...rest } = found
  return {
    ...rest,
    ...(paginator === "offset" ? { paginator } : {}),
    ...Option.getOrElse(decodeProof(stored), () => ({})),
  }
}
