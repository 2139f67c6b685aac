import { resolve } from "node:path"
import { ConfigProvider, Context, Effect } from "effect"
import { ConfigurationError } from "../core/errors.ts"
import { isList } from "../core/stream.ts"
import { namedAccounts } from "./config.ts"
import { readEnvFile } from "./envFile.ts"
import { declaredStreams, lookupVariables } from "./lookups.ts"
import { unknownVariables } from "./variables.ts"

/** The settings of a process: its environment, and `.env` for what the environment does not set. */

/** Says where each setting came from, for messages. Holds no value. */
export interface OriginsService {
  /** The file of settings, and whether there is one; undefined where none is read, as in a host application. */
  readonly file: { readonly path: string; readonly isThere: boolean } | undefined
  /** By name, for every variable that is set to something: `the environment`, or the path of the file. */
  readonly origins: ReadonlyMap<string, string>
  /** Variables that the environment sets to nothing, and the file to something. */
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
  message: "The working directory is not there any more: change to one that is (cd), and try again.",
})

/**
 * The settings of an environment and a file. The environment wins, also where it sets a variable to nothing, which
 * counts as not set. `ConfigurationError` where the file is there and cannot be read.
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
 * A sentence for each variable that is set without effect: its name is no setting but looks like one, or the
 * environment sets it to nothing over the file. Names only, never a value.
 */
export const settingsWarnings: Effect.Effect<ReadonlyArray<string>> = Effect.gen(function* () {
  const { file, origins, emptied } = yield* Origins
  const accounts = yield* Effect.orElseSucceed(namedAccounts, () => [])
  // Streams that cannot work together are the business of the command itself: it says what is wrong with them.
  const streams = yield* Effect.orElseSucceed(declaredStreams, () => [])
  const lists = streams.filter(isList).map(({ name }) => name)
  const unknown = unknownVariables([...origins.keys()].sort(), accounts, lists, lookupVariables(streams))
  return [
    ...unknown.map(
      ({ name, closest }) =>
        `${name}, set in ${origins.get(name)}, is no setting of paycombat-sync` +
        (closest === undefined ? "; .env.example lists them all." : `: is ${closest} meant?`),
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
