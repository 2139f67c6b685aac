import { Effect } from "effect"
import * as App from "../App.ts"
import { print, printJson } from "./output.ts"

/** Fills the configured, empty warehouse from a file. */
export const run = ({ file, json }: { readonly file: string; readonly json: boolean }) =>
  Effect.gen(function* () {
    const restored = yield* App.restore(file)
    yield* json
      ? printJson({ file, ...restored })
      : print(`${file}, saved at ${restored.takenAt}: ${restored.rows} rows of ${restored.tables} tables.`)
  }).pipe(Effect.provide(App.configuredWarehouse))
