import { Effect } from "effect"
import type { AccountSettings } from "../config/config.ts"
import { suffixed } from "../config/variable.ts"
import type { Json } from "../core/json.ts"
import type { ListStream } from "../core/stream.ts"
import { knownMerchants, merchantOf, storedMerchants } from "../warehouse/load/merchant.ts"
import type { Opened } from "./database.ts"
import { checkOf, type Finding, finding } from "./finding.ts"

const NAMED_MAX = 5

const quoted = (merchants: ReadonlyArray<string>): string => {
  const named = merchants.slice(0, NAMED_MAX).map(id => (/^[\w.-]+$/.test(id) ? id : JSON.stringify(id)))
  return `${named.join(", ")}${merchants.length > NAMED_MAX ? `, and ${merchants.length - NAMED_MAX} more` : ""}`
}

/**
 * Compares the merchants in a sample with the configured and the stored ones; without either, one is expected. Returns
 * no finding if all is well, or if the stored ones cannot be read.
 */
export const merchantFindings = (
  opened: Opened | undefined,
  account: AccountSettings,
  stream: ListStream,
  records: ReadonlyArray<Json>,
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const { name } = stream
    const { merchantField } = stream.source
    if (merchantField === null) return []
    const seen = new Set(records.flatMap(record => merchantOf(stream, record) ?? []))
    const configured = new Set(account.merchants)
    const unnamed = [...seen].filter(merchant => !configured.has(merchant))
    const variable = suffixed("PAYCOMBAT_MERCHANTS", account.name)
    const about = { account: account.name, stream: name }
    if (opened?.isMigrated !== true) return []
    const { sql } = opened
    const { one } = yield* knownMerchants(sql, about, stream)
    const stored = yield* storedMerchants(sql, account.name, stream, unnamed)
    const isFirst = one === null && configured.size === 0
    const others = isFirst ? (unnamed.length > 1 ? unnamed : []) : unnamed.filter(id => !stored.has(id))
    if (others.length === 0) return []
    if (isFirst)
      return [
        checkOf("merchants", about).fail(
          `records of more than one ${merchantField}: ${quoted(others)}. A first sync does not decide which are this account's: name its own in ${variable}, separated by commas.`,
        ),
      ]
    const isAll = others.length === seen.size
    return [
      finding(
        isAll ? "fail" : "warn",
        "merchants",
        `${isAll ? "every record" : "some records"} of another ${merchantField} than this account's: ${quoted(others)}. A sync ${isAll ? "fails, and stores none" : "rejects them"}. Check the token; if they are this account's, add them to ${variable}.`,
        about,
      ),
    ]
  }).pipe(Effect.orElseSucceed(() => []))
