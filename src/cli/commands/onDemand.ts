import { Effect, Layer } from "effect"
import { isExporting, telemetry } from "../../Telemetry.ts"
import { logging } from "../logging.ts"

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
