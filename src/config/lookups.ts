import { Config, Duration, Effect, Option } from "effect"
import type { ConfigurationError } from "../core/errors.ts"
import type { LookupSource } from "../core/lookup.ts"
import type { LookupStream, Stream } from "../core/stream.ts"
import { parsed, wholeNumber } from "./variable.ts"

/** The settings of look-ups. Each look-up declares the names of its variables. */

/** Largest number of look-ups that a run can be bounded to. */
const MAX_CALLS_MAX = 100_000_000

export interface LookupSettings {
  /** Age from which on any answer is asked for again; null where none is. */
  readonly maxAge: Duration.Duration | null
  /** Look-ups of one run at most; null where it is not set. */
  readonly maxCalls: number | null
  /** Lists of keys that are set, by variable. */
  readonly keys: Readonly<Record<string, ReadonlyArray<string>>>
}

const listsOf = ({ keys }: LookupSource) => keys.flatMap(source => ("variable" in source ? [source] : []))

export const variablesOf = (source: LookupSource): ReadonlyArray<string> => [
  ...(source.recheck.maxAge === undefined ? [] : [source.recheck.maxAge.variable]),
  source.maxCalls.variable,
  ...listsOf(source).map(({ variable }) => variable),
]

/** The settings of a look-up whose variables are not set. */
export const defaultsOf = ({ recheck }: LookupSource): LookupSettings => ({
  maxAge: recheck.maxAge === undefined ? null : Duration.decode(recheck.maxAge.otherwise),
  maxCalls: null,
  keys: {},
})

const list = (name: string) =>
  parsed(name, "different texts separated by commas", value => {
    const texts = value.split(",").map(text => text.trim())
    return texts.every(text => text !== "") && new Set(texts).size === texts.length ? texts : undefined
  })

const settingsOf = (source: LookupSource): Config.Config<LookupSettings> => {
  const defaults = defaultsOf(source)
  const { maxAge } = source.recheck
  return Config.all({
    maxAge:
      maxAge === undefined
        ? Config.succeed(null)
        : Config.withDefault(
            parsed(maxAge.variable, "a duration such as 24 hours", value =>
              Option.getOrUndefined(Duration.decodeUnknown(value)),
            ),
            defaults.maxAge!,
          ),
    maxCalls: Config.withDefault(
      wholeNumber(source.maxCalls.variable, { min: 0, max: MAX_CALLS_MAX }),
      defaults.maxCalls,
    ),
    keys: Config.map(
      Config.all(listsOf(source).map(({ variable }) => Config.option(list(variable)))),
      (lists): LookupSettings["keys"] =>
        Object.fromEntries(
          listsOf(source).flatMap(({ variable }, i) =>
            Option.match(lists[i]!, { onNone: () => [], onSome: values => [[variable, values]] }),
          ),
        ),
    ),
  })
}

/** A check of its own: the module of streams would load a JSON parser with every command line. */
const isLookup = (stream: Stream): stream is LookupStream => stream.source.kind === "lookup"

/** The settings of the look-ups among streams, by stream. */
export const lookups = (
  streams: ReadonlyArray<Stream>,
): Config.Config<Readonly<Record<string, LookupSettings>>> =>
  Config.all(
    Object.fromEntries(streams.filter(isLookup).map(({ name, source }) => [name, settingsOf(source)])),
  )

export const lookupVariables = (streams: ReadonlyArray<Stream>): ReadonlyArray<string> => [
  ...new Set(streams.filter(isLookup).flatMap(({ source }) => variablesOf(source))),
]

/** All streams. Loaded when a command runs: a command line that is only parsed needs none. */
export const declaredStreams: Effect.Effect<ReadonlyArray<Stream>, ConfigurationError> = Effect.flatMap(
  Effect.promise(() => import("../registry.ts")),
  ({ allStreams }) => allStreams,
)
