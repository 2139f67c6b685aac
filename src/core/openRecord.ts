import type { Open } from "./lookup.ts"
import type { Row, Stream } from "./stream.ts"

/** True if a row may still change by such a rule. The same rule is in SQL in `warehouse/ledger/stored.ts`. */
export const isOpen = (open: Open, row: Row): boolean => {
  const value = row[open.column] ?? null
  if ("noneOf" in open) return !open.noneOf.includes(String(value))
  if ("is" in open) return value === open.is
  return value === null || Date.parse(String(value)) > Date.now()
}

/** True if a record may still change, and so get a missing field. False if the stream declares no such rule. */
export const mayStillChange = ({ source }: Pick<Stream, "source">, row: Row): boolean => {
  const open = source.kind === "list" ? source.times?.open : null
  return open != null && isOpen(open, row)
}
