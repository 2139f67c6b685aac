import { once } from "node:events"
import { Effect, Redacted } from "effect"
import { embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"

/**
 * A process that uses an embedded server until its standard input ends, or until the server moves. The tests
 * start it with tsx.
 */
const [dataDir = "", resolveFrom = ""] = process.argv.slice(2)

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const server = yield* embeddedPostgres(dataDir, { resolveFrom, settings: { fsync: "off" } })
      console.log(JSON.stringify({ port: server.port, ownerUrl: Redacted.value(server.ownerUrl) }))
      const told = Effect.promise(() => once(process.stdin.resume(), "end"))
      yield* Effect.raceFirst(told, server.moved).pipe(
        Effect.ensuring(Effect.sync(() => process.stdin.destroy())),
      )
    }),
  ),
)
