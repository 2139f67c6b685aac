import { Effect } from "effect"
import * as App from "../../app.ts"
import { print, printJson } from "../terminal/output.ts"
import { waiting } from "../terminal/waiting.ts"

export const run = ({ file, json }: { readonly file: string; readonly json: boolean }) =>
  Effect.gen(function* () {
    const saved = yield* waiting(`saving to ${file}`, at => App.backup(file, at))
    yield* json
      ? printJson({ file, ...saved })
      : print(
          `${file}: ${saved.rows} rows of ${saved.tables} tables, ${saved.bytes} bytes. It holds personal data.`,
        )
  }).pipe(Effect.provide(App.configuredExisting))
