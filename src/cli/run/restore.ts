import { Effect, Option } from "effect"
import * as App from "../../app.ts"
import { counted } from "../../core/words.ts"
import { isConfirmed, refuseUnasked } from "../terminal/confirm.ts"
import { print, printJson, say } from "../terminal/output.ts"
import { waiting } from "../terminal/waiting.ts"

interface Options {
  readonly file: string
  readonly replace: boolean
  readonly yes: boolean
  readonly erasuresFrom: Option.Option<string>
  readonly json: boolean
}

const NOTHING_RESTORED = "Nothing was restored."

/**
 * Fills the configured warehouse from a backup, and prints the erasures that it applied and the ones it cannot know.
 * Checks the files and asks for confirmation first, so that a mistake creates no database.
 */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const { file, replace, yes, erasuresFrom } = options
    yield* refuseUnasked(
      yes || !replace,
      `${NOTHING_RESTORED} --replace deletes everything in the warehouse, and there is no terminal to ask at: add --yes to do so.`,
    )
    yield* App.checkBackup(file)
    if (Option.isSome(erasuresFrom)) yield* App.checkBackup(erasuresFrom.value)
    const question = `Delete everything in the warehouse, and fill it from ${file}? It cannot be undone.`
    if (replace && !yes && !(yield* isConfirmed(question, NOTHING_RESTORED)))
      return yield* say(NOTHING_RESTORED)
    yield* Effect.provide(restore(options), App.configuredWarehouse)
  })

const restore = ({ file, replace, erasuresFrom, json }: Options) =>
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
              : ` Erased again, because of erasures after the backup: ${counted(erasedAgain, "person", "persons")}.`),
        )
    yield* say(
      `Not known here: erasures made after ${takenAt} in a database that is gone.` +
        " Erase those customers again, or restore with --erasures-from a later backup.",
    )
  })
