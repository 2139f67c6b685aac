import { accountVariables, pathVariable } from "./config.ts"

/** Lists the names of all settings, and finds names that are not settings. */

/** Variables without an account or a stream in their name, except those that look-ups declare. */
export const VARIABLES: ReadonlyArray<string> = [
  ...accountVariables("default", []),
  "PAYCOMBAT_ACCOUNTS",
  "DATABASE_URL",
  "PAYCOMBAT_DATA_DIR",
  "PAYCOMBAT_READER_URL",
  "PAYCOMBAT_PII",
  "PAYCOMBAT_PII_KEY",
  "PAYCOMBAT_LEASE_SECONDS",
  "PAYCOMBAT_REJECTS_MAX",
  "PAYCOMBAT_HTTP_HOST",
  "PAYCOMBAT_HTTP_PORT",
  "PAYCOMBAT_LOG_LEVEL",
  "PAYCOMBAT_SCHEDULE",
  "PAYCOMBAT_FULL_SCHEDULE",
  "PAYCOMBAT_TIMEZONE",
]

/** Prefix of names that are meant for this program. */
const PREFIX = "PAYCOMBAT_"
/** Most wrong letters of a name that counts as a misspelt setting. */
const TYPOS_MAX = 2
/** Most wrong letters of a name with the prefix, as a share of the rest: the prefix shows that a setting is meant. */
const TYPOS_SHARE_MAX = 1 / 3

/** Normalizes a name: case, underscores and dashes are often forgotten or mixed up. */
const bare = (name: string) => name.toUpperCase().replace(/[^A-Z0-9]/g, "")

/** Counts the letters to insert, drop, replace or swap to turn one word into the other (optimal string alignment). */
const distance = (left: string, right: string): number => {
  let before: ReadonlyArray<number> = []
  let last: ReadonlyArray<number> = Array.from({ length: right.length + 1 }, (_, j) => j)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const isSame = left[i - 1] === right[j - 1]
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1))
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1)
      row.push(cost)
    }
    before = last
    last = row
  }
  return last[right.length]!
}

const closest = (name: string, settings: ReadonlyArray<string>): string | undefined => {
  const spelled = name.toUpperCase()
  const limit = spelled.startsWith(PREFIX)
    ? Math.max(TYPOS_MAX, Math.floor((spelled.length - PREFIX.length) * TYPOS_SHARE_MAX))
    : TYPOS_MAX
  // Some settings have no prefix. The same name with the prefix means that setting.
  const unprefixed = settings.find(setting => `${PREFIX}${setting}` === spelled)
  if (unprefixed !== undefined) return unprefixed
  let best: { readonly setting: string; readonly typos: number } | undefined
  for (const setting of settings) {
    if (Math.abs(setting.length - spelled.length) > limit && bare(setting) !== bare(name)) continue
    const typos = bare(setting) === bare(name) ? 0 : distance(spelled, setting)
    if (typos <= limit && typos < (best?.typos ?? Number.POSITIVE_INFINITY)) best = { setting, typos }
  }
  return best?.setting
}

/** Lists the names of all settings for these accounts, list streams and variables of look-ups. */
export const settingNames = (
  accounts: ReadonlyArray<string>,
  lists: ReadonlyArray<string>,
  lookups: ReadonlyArray<string>,
): ReadonlyArray<string> => [
  ...new Set([
    ...VARIABLES,
    ...lookups,
    ...lists.map(pathVariable),
    ...accounts.flatMap(account => accountVariables(account, lists)),
  ]),
]

/** A variable that is set but is not a setting. */
export interface UnknownVariable {
  readonly name: string
  readonly closest: string | undefined
}

const ACCOUNT_PART = /^[A-Z][A-Z0-9_]*$/

/**
 * Finds names with this program's prefix, or close to a setting, that are no settings of these accounts, list streams
 * and look-ups. A token implies its account, even if PAYCOMBAT_ACCOUNTS does not name it.
 */
export const unknownVariables = (
  names: ReadonlyArray<string>,
  accounts: ReadonlyArray<string>,
  lists: ReadonlyArray<string>,
  lookups: ReadonlyArray<string>,
): ReadonlyArray<UnknownVariable> => {
  const withToken = names.flatMap(name => {
    const account = name.startsWith("PAYCOMBAT_TOKEN_") ? name.slice("PAYCOMBAT_TOKEN_".length) : ""
    return ACCOUNT_PART.test(account) ? [account.toLowerCase()] : []
  })
  const settings = settingNames([...accounts, ...withToken], lists, lookups)
  const settingSet = new Set(settings)
  return names.flatMap(name => {
    if (settingSet.has(name)) return []
    const setting = closest(name, settings)
    return name.startsWith(PREFIX) || setting !== undefined ? [{ name, closest: setting }] : []
  })
}
