import { Effect, Option } from "effect"
import * as App from "../../app.ts"
import { secondsOf } from "./maxAge.ts"

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly maxAge: Option.Option<string>
  readonly migrate: boolean
}

/** Stays up until it is interrupted. Mistakes in the settings are reported before a database is started. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const maxAgeSeconds = Option.getOrUndefined(yield* secondsOf(options.maxAge))
    const settings = yield* App.serveSettings({
      accounts: options.account,
      streams: options.stream,
      ...(maxAgeSeconds === undefined ? {} : { maxAgeSeconds }),
    })
    return yield* App.serveWith(settings, options.migrate).pipe(
      Effect.provide(App.configuredWarehouse),
      Effect.provide(App.http),
    )
  })
