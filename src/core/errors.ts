import { Data } from "effect"

/** The five errors of a run, by the runner's reaction. A message says what to do; it holds no token, record or body. */

/** A person must first change a setting, an argument or the state of the database. Nothing was done; exit 2. */
export class ConfigurationError extends Data.TaggedError("ConfigurationError")<{
  readonly message: string
}> {}

/** PayCombat refused the account's token (401). Every stream of the account stops; other accounts continue. */
export class AccountError extends Data.TaggedError("AccountError")<{ readonly message: string }> {}

/**
 * One endpoint did not give the expected answer. A list stream fails with it, a look-up stores it with the record that
 * it asked about, and discovery tries the next candidate path.
 *
 * - `refused`: a definite answer that a repetition will not change (4xx except 401, 408 and 429)
 * - `unavailable`: time-out, transport error, 408, 429 or 5xx, after the bounded retries
 * - `malformed`: an answer that is not the API's: HTML, truncated JSON, no body, a body over a bound
 * - `failed`: a 200 whose envelope says `status: false` or `success: false`
 * - `rejected`: more records than PAYCOMBAT_REJECTS_MAX allows could not become rows
 * - `incomplete`: the stream with the keys of a look-up failed, so that not all keys were asked about
 * - `contract`: well-formed, but not a list that the program can prove complete (paging ignored, no list found)
 */
export class EndpointError extends Data.TaggedError("EndpointError")<{
  readonly reason: "refused" | "unavailable" | "malformed" | "failed" | "rejected" | "incomplete" | "contract"
  readonly path: string
  readonly status?: number
  /** The answer names no error and holds nothing: 404, 416, no body, `status: false`. Some lists end so. */
  readonly saysNothing?: boolean
  /** A 404 that says in words that there are no records, or a failure under 200 that says so, or says nothing. */
  readonly saysEmpty?: boolean
  /** The answer exceeds one of the program's bounds, and its message names the bound. */
  readonly isTooLarge?: boolean
  /** Every candidate path of the endpoint answered 404 or 403. */
  readonly isAbsent?: boolean
  /** The refusal came in an envelope, as the API's own answers do. Those of a proxy or a gateway often do not. */
  readonly isFromApi?: boolean
  readonly message: string
}> {}

/** True if such an answer says that the endpoint is not there, or not for this token. */
export const saysAbsent = ({ status }: Pick<EndpointError, "status">): boolean =>
  status === 404 || status === 403

/** Another run holds the account or stream (exit 3), or took it over while this run did not renew its lease. */
export class LeaseError extends Data.TaggedError("LeaseError")<{
  readonly reason: "held" | "lost"
  readonly message: string
}> {}

/** Postgres could not do a statement. Committed work stays; the next run continues from there. */
export class WarehouseError extends Data.TaggedError("WarehouseError")<{
  readonly message: string
  readonly code?: string
}> {}
