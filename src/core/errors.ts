import { Data } from "effect"

/**
 * The five ways a run can go wrong, named by what the runner does about it. Each carries one `message`
 * for people: what happened and what to do next. No message ever holds a token, a record or a body.
 */

/** A person must change a setting, an argument or the database's state first. Nothing was done; exit 2. */
export class ConfigurationError extends Data.TaggedError("ConfigurationError")<{
  readonly message: string
}> {}

/** PayCombat refused the account's token (401): every stream of the account stops, other accounts go on. */
export class AccountError extends Data.TaggedError("AccountError")<{ readonly message: string }> {}

/**
 * One endpoint did not give what was asked. A list stream fails with it, a look-up books it on the one
 * record it was about, discovery tries the next candidate path.
 *
 * - `refused`: a definite answer that will not change by asking again (4xx but 401, 408 and 429)
 * - `unavailable`: time-out, transport error, 408, 429 or 5xx, still so after the bounded retries
 * - `malformed`: an answer that is not the API's: HTML, truncated JSON, no body, a body over a bound
 * - `failed`: a 200 whose envelope says `status: false` or `success: false`
 * - `rejected`: records came, and more of them than PAYCOMBAT_REJECTS_MAX allows could not become a row
 * - `incomplete`: the stream whose rows it asks about failed, so that not all were asked about
 * - `contract`: well-formed, but not the list the program can prove complete (paging ignored, no list found)
 */
export class EndpointError extends Data.TaggedError("EndpointError")<{
  readonly reason: "refused" | "unavailable" | "malformed" | "failed" | "rejected" | "incomplete" | "contract"
  readonly path: string
  readonly status?: number
  /**
   * The answer names no error and holds nothing: 404, 416, no body, `status: false` alone. Some APIs say so of an
   * empty list, or of a page beyond the last.
   */
  readonly saysNothing?: boolean
  /** A 404 whose message says in words that there are no records: the path is there, and its list is empty. */
  readonly saysEmpty?: boolean
  /** The answer is larger than one of the program's bounds: its message names the bound. */
  readonly isTooLarge?: boolean
  /** The refusal came in an envelope, as the API's own answers do; a proxy's or a gateway's often does not. */
  readonly isFromApi?: boolean
  readonly message: string
}> {}

/** Another run holds the account or stream (nothing was done; exit 3), or took it over while this one was not heard of. */
export class LeaseError extends Data.TaggedError("LeaseError")<{
  readonly reason: "held" | "lost"
  readonly message: string
}> {}

/** Postgres did not do what was asked. What was committed stays; the next run goes on from there. */
export class WarehouseError extends Data.TaggedError("WarehouseError")<{
  readonly message: string
  readonly code?: string
}> {}
