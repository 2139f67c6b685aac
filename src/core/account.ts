import type { Duration, Redacted } from "effect"

/** One merchant's access to the API, and the bounds on what the API is asked. */
export interface Account {
  readonly name: string
  readonly token: Redacted.Redacted<string>
  readonly baseUrl: string
  /** Records asked for per page; the API may give fewer. */
  readonly pageSize: number
  readonly ratePerSecond: number
  /** Requests under way at once. */
  readonly concurrency: number
  /** For one attempt: from sending it to the last byte of its answer. */
  readonly timeout: Duration.Duration
}
