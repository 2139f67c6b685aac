import type { Duration, Redacted } from "effect"

/** One merchant's access to the API, and the bounds on the requests. */
export interface Account {
  readonly name: string
  readonly token: Redacted.Redacted<string>
  readonly baseUrl: string
  /** Records requested per page; the API may send fewer. */
  readonly pageSize: number
  readonly ratePerSecond: number
  readonly concurrency: number
  /** Limit of one attempt, from sending it to the last byte of its answer. */
  readonly timeout: Duration.Duration
}

/** Owners of the balance that a fee moves: the owner of its amount, or the organization. */
export const FEE_OWNERS = ["owner", "organization"] as const
export type FeeOwner = (typeof FEE_OWNERS)[number]
