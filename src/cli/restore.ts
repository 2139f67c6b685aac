import { Effect, Option } from "effect"
import * as App from "../App.ts"
import { counted } from "../counted.ts"
import { print, printJson, say } from "./output.ts"
import { waiting } from "./waiting.ts"

interface Options {
  readonly file: string
  readonly replace: boolean
  readonly erasuresFrom: Option.Option<string>
  readonly json: boolean
}

/** Fills the configured warehouse from a file, and says which erasures it knows of and which it cannot know. */
export const run = ({ file, replace, erasuresFrom, json }: Options) =>
  Effect.gen(function* () {
    const restored = yield* waiting(`restoring ${file}`, tell =>
      App.restore(file, {
        isReplacing: replace,
        tell,
        ...(Option.isNone(erasuresFrom) ? {} : { erasuresFrom: erasuresFrom.value }),
      }),
    )
    const { takenAt, rows, tables, knownErasures, erasedAgain } = restored
    yield* json
      ? printJson({ file, ...restored })
      : print(
          `${file}, saved at ${takenAt}: ${rows} rows of ${tables} tables.` +
            (knownErasures === 0
              ? ""
              : ` Erased again, because they were erased since: ${counted(erasedAgain, "person", "persons")}.`),
        )
    yield* say(
      `Not known here: erasures made after ${takenAt} in a database that is gone.` +
        " Erase those customers again, or restore with --erasures-from a later backup.",
    )
  }).pipe(Effect.provide(App.configuredWarehouse))
