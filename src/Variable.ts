import { Config, ConfigError, Either, Redacted } from "effect"
import { ConfigurationError } from "./Errors.ts"

/** How a variable of the environment is read, and how it is said what is wrong with one. */

const malformed = (name: string, message: string) => ConfigError.InvalidData([name], message)

/** A variable as trimmed text; an empty one counts as not set, as in a copied `.env.example`. */
export const text = (name: string) =>
  Config.string(name).pipe(
    Config.mapOrFail(value => {
      const trimmed = value.trim()
      return trimmed === ""
        ? // Without a path: the name of the variable that is mapped is put before it.
          Either.left(ConfigError.MissingData([], "is not set"))
        : Either.right(trimmed)
    }),
  )

export const parsed = <A>(name: string, expectation: string, parse: (value: string) => A | undefined) =>
  text(name).pipe(
    Config.mapOrFail(value =>
      Either.fromNullable(parse(value), () => malformed(name, `must be ${expectation}`)),
    ),
  )

export const wholeNumber = (name: string, bounds: { readonly min: number; readonly max: number }) =>
  parsed(name, `a whole number from ${bounds.min} to ${bounds.max}`, value => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    return number >= bounds.min && number <= bounds.max ? number : undefined
  })

const isUrl = (value: string, protocols: ReadonlyArray<string>): boolean => {
  try {
    return protocols.includes(new URL(value).protocol)
  } catch {
    return false
  }
}

export const httpUrl = (name: string) =>
  parsed(name, "an http:// or https:// address", value =>
    isUrl(value, ["http:", "https:"]) ? value : undefined,
  )

export const postgresUrl = (name: string) =>
  parsed(name, "a postgres://user:password@host:port/database address", value =>
    isUrl(value, ["postgres:", "postgresql:"]) ? Redacted.make(value) : undefined,
  )

const NEXT_STEP: Readonly<Record<string, string>> = {
  PAYCOMBAT_TOKEN: "PayCombat's dashboard shows it; or try `paycombat-sync demo`, which needs none.",
  PAYCOMBAT_PII_KEY:
    "PAYCOMBAT_PII=hash needs it: make one with `openssl rand -hex 32`, and keep it: with another key the same values get other hashes.",
}

/** The first thing that is wrong, as one line that names the variable. */
export const inOneLine = (error: ConfigError.ConfigError): ConfigurationError => {
  switch (error._op) {
    case "And":
      return inOneLine(error.left)
    case "Or":
      // What is only not set is not what is wrong, where something else stands in for it.
      return inOneLine(ConfigError.isMissingDataOnly(error.left) ? error.right : error.left)
    default: {
      const name = error.path.join("_")
      const reason = error._op === "MissingData" ? "is not set" : error.message
      const next = NEXT_STEP[name] ?? "See .env.example."
      return new ConfigurationError({ message: `${name} ${reason}. ${next}` })
    }
  }
}
