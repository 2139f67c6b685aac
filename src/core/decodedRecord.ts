import type { Decoded } from "./stream.ts"

export interface DecodedRecord {
  readonly id: string
  readonly hash: string
  readonly readAt: string
  readonly raw: string
  readonly normalized: Decoded
  /** True if a page of a list showed the record. */
  readonly isListed?: boolean
}
