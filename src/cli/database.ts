import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Console, Effect, Option, Redacted } from "effect"
import * as App from "../App.ts"
import * as Config from "../Config.ts"
import { ConfigurationError } from "../Errors.ts"
import { Warehouse } from "../warehouse/Database.ts"
import { demoDatabase } from "./demo.ts"
import { jsonOption, printJson } from "./output.ts"

export const database = Command.make(
  "database",
  {
    owner: Options.boolean("owner").pipe(Options.withDescription("Print the owner's address, too.")),
    demo: Options.boolean("demo").pipe(Options.withDescription("The demo's database.")),
    json: jsonOption,
  },
  options =>
    Effect.gen(function* () {
      const settings = options.demo ? demoDatabase : yield* Config.database
      if (Option.isSome(settings.url)) {
        return yield* new ConfigurationError({
          message: "DATABASE_URL is set: the warehouse is there, and there is no embedded Postgres to start.",
        })
      }
      yield* Effect.gen(function* () {
        yield* App.upToDate(true)
        const { readerUrl, ownerUrl } = yield* Warehouse
        const urls = {
          reader: Option.getOrNull(Option.map(readerUrl, Redacted.value)),
          ...(options.owner ? { owner: Redacted.value(ownerUrl) } : {}),
        }
        yield* options.json
          ? printJson(urls)
          : Console.log(
              Object.entries(urls)
                .map(([login, url]) => `${login.padEnd(6)} ${url}`)
                .join("\n"),
            )
        yield* Console.error("Up until Ctrl-C.")
        yield* Effect.never
      }).pipe(Effect.provide(App.warehouse(settings)))
    }),
).pipe(
  Command.withDescription(
    "Starts the embedded Postgres, prints its address, and keeps it up for psql and BI tools.",
  ),
)
