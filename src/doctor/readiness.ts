import type { Row } from "../core/stream.ts"
import type { LookupSample, LookupWords } from "./lookup.ts"

/** Describes a sample of the look-up `wallet_readiness`. */

export const READINESS = "wallet_readiness"

export interface ReadinessSample extends Pick<LookupSample, "asked" | "failures" | "requests"> {
  readonly ready: number
  /** Not ready, with the names of the missing details. */
  readonly named: number
  /** Not ready, with an empty list of missing details: documented (D), and shown as `unspecified` by `kyc_gap`. */
  readonly unnamed: number
}

const isNamed = ({ missing_fields: missing }: Row) => Array.isArray(missing) && missing.length > 0

export const readinessOf = ({ asked, rows, failures, requests }: LookupSample): ReadinessSample => {
  const notReady = rows.filter(row => row.is_wallet_ready !== true)
  const named = notReady.filter(isNamed).length
  const ready = rows.length - notReady.length
  return { asked, ready, named, unnamed: notReady.length - named, failures, requests }
}

export const readinessWords = ({ ready, named, unnamed }: ReadinessSample): LookupWords => ({
  title: "readiness",
  subject: "customer",
  answers: [
    `${ready} ready`,
    ...(named > 0 ? [`${named} not ready, with what is missing`] : []),
    ...(unnamed > 0
      ? [
          `${unnamed} not ready with an empty missing_field: kyc_gap tells it as unspecified; ask PayCombat what is missing`,
        ]
      : []),
  ],
})
