import { Config, ConfigError, Either, Option, Redacted } from "effect"
import { ConfigurationError } from "../core/errors.ts"
import { isId } from "../core/id.ts"
import { parseAddress } from "../postgres/address.ts"
import { judgeBaseUrl } from "./baseUrl.ts"

/** Reads one variable of the environment, and reports a mistake in its value. */

/** A quote at either end, from a keyboard or a word processor. */
const QUOTE_AT_END = /^["'`“”‘’„«»]|["'`“”‘’„«»]$/

/** A variable's name where its value is meant, as shells and Docker Compose write it. */
const NAME_FOR_VALUE = /\$\{[A-Za-z_]\w*\}/

const flawOf = (value: string): string | undefined => {
  if (QUOTE_AT_END.test(value))
    return "begins or ends with a quote that is part of the value: Docker's --env-file keeps quotes, and a quote without its partner stays. Write the value without quotes"
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
  if (/[\u0000-\u001f\u007f]/.test(value))
    return "holds a line break or another control character: is a quote missing at its end?"
  if (NAME_FOR_VALUE.test(value))
    return "holds the name of a variable in braces in place of its value: neither .env nor Docker's --env-file expands it. Write the value itself"
  return undefined
}

/** Reads trimmed text. Empty counts as not set. A value with quotes or control characters is an error. */
export const text = (name: string) =>
  Config.string(name).pipe(
    Config.mapOrFail(value => {
      const trimmed = value.trim()
      // The path stays empty, because the name of the mapped variable is put before it.
      if (trimmed === "") return Either.left(ConfigError.MissingData([], "is not set"))
      const flaw = flawOf(trimmed)
      return flaw === undefined ? Either.right(trimmed) : Either.left(ConfigError.InvalidData([], flaw))
    }),
  )

const checked = <A>(name: string, judge: (value: string) => Either.Either<A, string>) =>
  text(name).pipe(
    Config.mapOrFail(value =>
      Either.mapLeft(judge(value), reason => ConfigError.InvalidData([name], reason)),
    ),
  )

export const parsed = <A>(name: string, expectation: string, parse: (value: string) => A | undefined) =>
  checked(name, value => Either.fromNullable(parse(value), () => `must be ${expectation}`))

/** Reads the path of a list. It has no query, because the program adds the paging parameters. */
export const path = (name: string) =>
  parsed(name, "a path that begins with /, without query, fragment and white space", value =>
    /^\/[^\s?#\\]*$/.test(value) ? value : undefined,
  )

/** Reads the names of the two paging parameters. */
export const paging = (name: string) =>
  parsed(name, "the names of two parameters, such as page,limit", value => {
    const [page, size, ...rest] = value.split(",").map(part => part.trim())
    return page && size && rest.length === 0 ? ([page, size] as const) : undefined
  })

/** Reads a directory. `~` is refused because only a shell expands it; here it would be part of the name. */
export const directory = (name: string) =>
  parsed(name, "a directory written out, without ~", value => (value.startsWith("~") ? undefined : value))

/** Most ids in one variable. */
const IDS_MAX = 1_000

export const idList = (name: string) =>
  parsed(name, `ids separated by commas, ${IDS_MAX} at most`, value => {
    const ids = value.split(",").map(id => id.trim())
    return ids.length <= IDS_MAX && ids.every(isId) ? ids : undefined
  })

export const wholeNumber = (name: string, bounds: { readonly min: number; readonly max: number }) =>
  parsed(name, `a whole number from ${bounds.min} to ${bounds.max}`, value => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    return number >= bounds.min && number <= bounds.max ? number : undefined
  })

/** Reads the address of an API, to which paths are appended. */
export const httpUrl = (name: string) => checked(name, judgeBaseUrl)

/** Reads a secret for a header, in the characters that a header may hold. */
export const headerSecret = (name: string) =>
  parsed(name, "the token alone: Latin letters, digits and signs, without spaces", value =>
    /^[\x21-\x7e]+$/.test(value) ? Redacted.make(value) : undefined,
  )

/** Reads the address of a Postgres by libpq's rules. An error names the parameter. */
export const postgresUrl = (name: string) =>
  checked(name, value => Either.map(parseAddress(value), () => Redacted.make(value)))

const HOW_TO_SET: Readonly<Record<string, string>> = {
  PAYCOMBAT_TOKEN: "PayCombat's dashboard shows it; or try `paycombat-sync demo`, which needs none.",
  PAYCOMBAT_PII_KEY:
    "PAYCOMBAT_PII=hash needs it: make one with `openssl rand -hex 32`, and keep it: with another key the same values get other hashes.",
}

/** Converts the first error to one line that names the variable. */
export const inOneLine = (error: ConfigError.ConfigError): ConfigurationError => {
  switch (error._op) {
    case "And":
      return inOneLine(error.left)
    case "Or":
      // If the left variable is only missing, the right one replaces it, and its error counts.
      return inOneLine(ConfigError.isMissingDataOnly(error.left) ? error.right : error.left)
    default: {
      const name = error.path.join("_")
      if (error._op !== "MissingData")
        return new ConfigurationError({
          message: `${name} ${error.message}${/[.?]$/.test(error.message) ? "" : "."} See .env.example.`,
        })
      return new ConfigurationError({
        message: `${name} is not set. ${HOW_TO_SET[name] ?? "See .env.example."}`,
      })
    }
  }
}

/** Reads one of several words. */
export const oneOf =
  <A extends string>(words: ReadonlyArray<A>) =>
  (name: string): Config.Config<A> =>
    parsed(name, words.join(" or "), value => words.find(word => word === value))

/** Name of a time zone in the IANA database. An offset is refused: Postgres reads its sign the other way round. */
export const zoneName = (name: string): Config.Config<string> =>
  parsed(name, "a time zone such as Europe/Berlin, by its IANA name", value =>
    /^[A-Za-z]/.test(value) && isTimezone(value) ? value : undefined,
  )

export const isTimezone = (value: string): boolean => {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: value })
    return true
  } catch {
    return false
  }
}

/** Returns the variable of one account: `PAYCOMBAT_TOKEN` for `default`, `PAYCOMBAT_TOKEN_EU` for `eu`. */
export const suffixed = (name: string, account: string): string =>
  account === "default" ? name : `${name}_${account.toUpperCase().replaceAll("-", "_")}`

/** Reads an account's own value, else the value for all accounts. */
export const ownOrAll = <A>(account: string, name: string, setting: (name: string) => Config.Config<A>) => {
  const own = suffixed(name, account)
  if (own === name) return setting(name)
  return Config.orElseIf(setting(own), {
    if: ConfigError.isMissingDataOnly,
    orElse: () => setting(name),
  })
}

/** A setting that may be missing. */
export const ifSet = <A>(setting: Config.Config<A>) =>
  Config.map(Config.option(setting), Option.getOrUndefined)
