import { Effect, Layer } from "effect"
import { settingsWarnings } from "../../config/environment.ts"
import type { ConfigurationError } from "../../core/errors.ts"
import { isExporting, telemetry } from "../../observe/telemetry.ts"
import { logging } from "../terminal/logging.ts"
import { settings } from "../terminal/settings.ts"

/** Time that a finished process waits for an OpenTelemetry collector that does not answer. */
const LINGER_MILLIS = 1_000

/** Calls `then` once all output is written, however slow its reader is, or once the reader has gone away. */
const afterOutput = (streams: ReadonlyArray<NodeJS.WriteStream>, then: () => void): void => {
  const full = streams.find(stream => stream.writableLength > 0)
  // The callback comes when everything before it was written, or can no longer be written.
  if (full === undefined) then()
  else full.write("", () => setImmediate(() => afterOutput(streams.filter(isOpen), then)))
}

const isOpen = (stream: NodeJS.WriteStream) => !stream.destroyed && stream.errored === null

const exported = Layer.unwrapEffect(
  Effect.map(isExporting, isIt =>
    isIt
      ? Layer.provideMerge(
          telemetry,
          // Closed last. Otherwise the exporters' own timers would keep the process up for as long as they try.
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

const warnings = Effect.flatMap(settingsWarnings, texts =>
  Effect.forEach(texts, text => Effect.logWarning(text), { discard: true }),
)

interface CommandLayers {
  /** Replaces the default logger, which writes lines of text. */
  readonly logged?: Layer.Layer<never>
  /** Replaces the settings from the environment and `.env`. */
  readonly configured?: Layer.Layer<never, ConfigurationError>
}

/**
 * Loads the code of a command when the command runs, so that `--help` and a usage error do not wait for a database
 * driver. The files beside this one only declare commands. Each command's `run` is in the file of the same name in
 * `cli/run`.
 */
export const onDemand =
  <Options, E, R>(
    load: () => Promise<{ readonly run: (options: Options) => Effect.Effect<void, E, R> }>,
    { logged = Layer.empty, configured = settings }: CommandLayers = {},
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
