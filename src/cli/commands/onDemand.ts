import { Effect, Layer } from "effect"
import { settingsWarnings } from "../../config/environment.ts"
import type { ConfigurationError } from "../../core/errors.ts"
import { isExporting, telemetry } from "../../observe/telemetry.ts"
import { logging } from "../terminal/logging.ts"
import { settings } from "../terminal/settings.ts"

/** So long may a process that is done wait for a collector of traces that does not answer. */
const LINGER_MILLIS = 1_000

/** A reader that is slower than that gets all of the answer all the same. Goes on, too, when there is no reader any more. */
const afterOutput = (streams: ReadonlyArray<NodeJS.WriteStream>, then: () => void): void => {
  const full = streams.find(stream => stream.writableLength > 0)
  // Told when all before it was written, or cannot be.
  if (full === undefined) then()
  else full.write("", () => setImmediate(() => afterOutput(streams.filter(isOpen), then)))
}

const isOpen = (stream: NodeJS.WriteStream) => !stream.destroyed && stream.errored === null

const exported = Layer.unwrapEffect(
  Effect.map(isExporting, isIt =>
    isIt
      ? Layer.provideMerge(
          telemetry,
          // Closed last. The exporters' own timers would hold the process for as long as they try.
          Layer.scopedDiscard(
            Effect.addFinalizer(() =>
              Effect.sync(() =>
                setTimeout(
                  () => afterOutput([process.stdout, process.stderr].filter(isOpen), () => process.exit()),
                  LINGER_MILLIS,
                ).unref(),
              ),
            ),
          ),
        )
      : telemetry,
  ),
)

/** Warns of each variable that is set without effect. */
const warnings = Effect.flatMap(settingsWarnings, texts =>
  Effect.forEach(texts, text => Effect.logWarning(text), { discard: true }),
)

interface Surroundings {
  /** Replaces the usual logger, which writes lines of text. */
  readonly logged?: Layer.Layer<never>
  /** Replaces the settings of the environment and `.env`. */
  readonly configured?: Layer.Layer<never, ConfigurationError>
}

/**
 * Loads a command's work when the command is run: `--help` and a mistyped option must not wait for a database
 * driver. So the files beside this one declare commands and import nothing that works; each has its `run`
 * in the file of the same name one folder up.
 */
export const onDemand =
  <Options, E, R>(
    load: () => Promise<{ readonly run: (options: Options) => Effect.Effect<void, E, R> }>,
    { logged = Layer.empty, configured = settings }: Surroundings = {},
  ) =>
  (options: Options) =>
    Effect.promise(load).pipe(
      Effect.zipLeft(warnings),
      Effect.flatMap(({ run }) => run(options)),
      Effect.provide(exported),
      Effect.provide(logged),
      Effect.provide(logging),
      Effect.provide(configured),
    )
