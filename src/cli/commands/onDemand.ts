import { Effect } from "effect"
import { logging } from "../logging.ts"

/**
 * What a command does, loaded when it is run: `--help` and a mistyped option must not wait for a database
 * driver. So the files beside this one declare commands and import nothing that works; each has its `run`
 * in the file of the same name one folder up.
 */
export const onDemand =
  <Options, E, R>(load: () => Promise<{ readonly run: (options: Options) => Effect.Effect<void, E, R> }>) =>
  (options: Options) =>
    Effect.flatMap(Effect.promise(load), ({ run }) => run(options)).pipe(Effect.provide(logging))
