import { Effect, Layer } from "effect"
import { isExporting, telemetry } from "../../Telemetry.ts"
import { logging } from "../logging.ts"

/** So long may a process that is done wait for a collector of traces that does not answer. */
const LINGER_MILLIS = 1_000

const exported = Layer.unwrapEffect(
  Effect.map(isExporting, isIt =>
    isIt
      ? Layer.provideMerge(
          telemetry,
          // Closed last. The exporters' own timers would hold the process for as long as they try.
          Layer.scopedDiscard(
            Effect.addFinalizer(() =>
              Effect.sync(() => setTimeout(() => process.exit(), LINGER_MILLIS).unref()),
            ),
          ),
        )
      : telemetry,
  ),
)

/**
 * What a command does, loaded when it is run: `--help` and a mistyped option must not wait for a database
 * driver. So the files beside this one declare commands and import nothing that works; each has its `run`
 * in the file of the same name one folder up.
 */
export const onDemand =
  <Options, E, R>(
    load: () => Promise<{ readonly run: (options: Options) => Effect.Effect<void, E, R> }>,
    /** What this command logs by, in place of lines of text. */
    logged: Layer.Layer<never> = Layer.empty,
  ) =>
  (options: Options) =>
    Effect.flatMap(Effect.promise(load), ({ run }) => run(options)).pipe(
      Effect.provide(exported),
      Effect.provide(logged),
      Effect.provide(logging),
    )
