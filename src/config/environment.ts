import { resolve } from "node:path"
import { ConfigProvider, Context, Effect } from "effect"
import { ConfigurationError } from "../core/errors.ts"
import { namedAccounts } from "./config.ts"
import { readEnvFile } from "./envFile.ts"
import { declaredStreams, lookupVariables } from "./lookups.ts"
import { unknownVariables } from "./variables.ts"

/** Reads the settings of a process: its environment, and `.env` for variables that the environment does not set. */

/** Origin of each setting, for messages. Holds no value. */
export interface OriginsService {
  /** The settings file, and whether it exists; undefined if no file is read, as in a host application. */
  readonly file: { readonly path: string; readonly isThere: boolean } | undefined
  /** Origin by name for every variable that is set and not empty: `the environment`, or the path of the file. */
  readonly origins: ReadonlyMap<string, string>
  /** Variables that are empty in the environment and not empty in the file. */
  readonly emptied: ReadonlyArray<string>
}

export class Origins extends Context.Reference<Origins>()("paycombat-sync/Origins", {
  defaultValue: (): OriginsService => ({ file: undefined, origins: new Map(), emptied: [] }),
}) {}

export interface Settings {
  readonly provider: ConfigProvider.ConfigProvider
  readonly origins: OriginsService
}

const isSet = (value: string | undefined): value is string => value !== undefined && value.trim() !== ""

const noDirectory = new ConfigurationError({
  message: "The working directory no longer exists: change to another one (cd), and try again.",
})

/**
 * Reads the settings of an environment and a file. The environment wins. A variable that is empty there counts as not
 * set, even if the file sets it. Fails with `ConfigurationError` if the file exists and cannot be read.
 */
export const readSettings = (
  environment: Readonly<Record<string, string | undefined>>,
  file: string,
): Effect.Effect<Settings, ConfigurationError> =>
  Effect.gen(function* () {
    const path = yield* Effect.try({ try: () => resolve(file), catch: () => noDirectory })
    const inFile = yield* readEnvFile(path)
    const values = new Map<string, string>()
    const origins = new Map<string, string>()
    const take = (variables: Readonly<Record<string, string | undefined>>, origin: string) => {
      for (const [name, value] of Object.entries(variables)) {
        if (value === undefined) continue
        values.set(name, value)
        if (isSet(value)) origins.set(name, origin)
        else origins.delete(name)
      }
    }
    take(inFile ?? {}, path)
    take(environment, "the environment")
    const emptied = Object.entries(inFile ?? {}).flatMap(([name, value]) =>
      isSet(value) && !isSet(values.get(name)) ? [name] : [],
    )
    return {
      provider: ConfigProvider.fromMap(values),
      origins: { file: { path, isThere: inFile !== undefined }, origins, emptied },
    }
  })

/**
 * Returns a sentence for each variable that is set without effect: an unknown name that resembles a setting, or a
 * variable that the environment empties over the file. Contains names only, never a value.
 */
export const settingsWarnings: Effect.Effect<ReadonlyArray<string>> = Effect.gen(function* () {
  const { file, origins, emptied } = yield* Origins
  const accounts = yield* Effect.orElseSucceed(namedAccounts, () => [])
  // The command itself reports streams that cannot work together.
  const streams = yield* Effect.orElseSucceed(declaredStreams, () => [])
  const lists = streams.filter(({ source }) => source.kind === "list").map(({ name }) => name)
  const unknown = unknownVariables([...origins.keys()].sort(), accounts, lists, lookupVariables(streams))
  return [
    ...unknown.map(
      ({ name, closest }) =>
        `${name}, set in ${origins.get(name)}, is not a setting of paycombat-sync` +
        (closest === undefined ? "; .env.example lists them all." : `: did you mean ${closest}?`),
    ),
    ...emptied
      .filter(name => /^PAYCOMBAT_|^DATABASE_URL$/.test(name))
      .map(
        name =>
          `${name} is empty in the environment, which wins over ${file?.path}: it counts as not set.` +
          " Unset it in the environment to use the file's.",
      ),
  ]
})
