import { once } from "node:events"
import { Effect, Redacted } from "effect"
import { embeddedPostgres } from "../../src/warehouse/EmbeddedPostgres.ts"

/** A process of its own that uses an embedded server until its standard input ends. Started by the tests through tsx. */
const [dataDir = "", resolveFrom = ""] = process.argv.slice(2)

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* embeddedPostgres(dataDir, { resolveFrom, settings: { fsync: "off" } })
      console.log(JSON.stringify({ port: server.port, ownerUrl: Redacted.value(server.ownerUrl) }))
      yield* Effect.promise(() => once(process.stdin.resume(), "end"))
    }),
  ),
)
