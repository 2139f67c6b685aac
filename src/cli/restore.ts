import { Effect } from "effect"
import * as App from "../App.ts"
import { print, printJson } from "./output.ts"
import { waiting } from "./waiting.ts"

/** Fills the configured, empty warehouse from a file. */
export const run = ({ file, json }: { readonly file: string; readonly json: boolean }) =>
  Effect.gen(function* () {
    const restored = yield* waiting(`restoring ${file}`, at => App.restore(file, at))
    yield* json
      ? printJson({ file, ...restored })
      : print(`${file}, saved at ${restored.takenAt}: ${restored.rows} rows of ${restored.tables} tables.`)
  }).pipe(Effect.provide(App.configuredWarehouse))
