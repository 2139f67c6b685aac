import { Effect, Option, Redacted } from "effect"
import * as App from "../../app.ts"
import * as Config from "../../config/config.ts"
import { ConfigurationError } from "../../core/errors.ts"
import { print, printJson, say } from "../terminal/output.ts"
import { demoDatabase } from "./demoDatabase.ts"

interface Options {
  readonly owner: boolean
  readonly demo: boolean
  readonly json: boolean
}

const serve = (options: Options) =>
  Effect.gen(function* () {
    yield* App.upToDate(true)
    const { readerUrl, ownerUrl, moved = Effect.never } = yield* App.Warehouse
    const urls = {
      reader: Option.getOrNull(Option.map(readerUrl, Redacted.value)),
      ...(options.owner ? { owner: Redacted.value(ownerUrl) } : {}),
    }
    const lines = Object.entries(urls).map(([login, url]) => `${login.padEnd(6)} ${url}`)
    yield* options.json ? printJson(urls) : print(lines.join("\n"))
    yield* say("Running until Ctrl-C.")
    return yield* moved
  })

/** Keeps the embedded Postgres up for other programs until it is interrupted. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const settings = options.demo ? demoDatabase : yield* Config.database
    if (Option.isSome(settings.url)) {
      return yield* new ConfigurationError({
        message:
          "DATABASE_URL is set: the warehouse is at that address, so there is no embedded Postgres to start.",
      })
    }
    return yield* Effect.provide(serve(options), App.warehouse(settings))
  })
