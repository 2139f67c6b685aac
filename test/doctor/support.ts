import { Duration, Effect, Layer, Logger, LogLevel, Option, type Redacted } from "effect"
import { http } from "../../src/app.ts"
import type { AccountSettings, DatabaseSettings } from "../../src/config/config.ts"
import type { Stream } from "../../src/core/stream.ts"
import { type Examination, examine } from "../../src/doctor/doctor.ts"
import type { Finding } from "../../src/doctor/finding.ts"
import type { StreamReport } from "../../src/doctor/streams.ts"
import { allStreams } from "../../src/registry.ts"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { accountOf } from "../support/warehouse.ts"

/** An examination with settings given in code. */

export interface Examined {
  readonly account?: Partial<AccountSettings>
  /** Names of streams; all where absent. */
  readonly only?: ReadonlyArray<string>
  /** Streams declared by the test, examined instead of the registered ones. */
  readonly streams?: ReadonlyArray<Stream>
  /** A given database and its reader's login. */
  readonly database?: Redacted.Redacted
  readonly reader?: Redacted.Redacted
  readonly problems?: ReadonlyArray<string>
}

export const databaseAt = (url: Redacted.Redacted, reader?: Redacted.Redacted): DatabaseSettings => ({
  url: Option.some(url),
  dataDir: "/nowhere",
  readerUrl: Option.fromNullable(reader),
})

/** Examines a sandbox, and a database where one is given. */
export const examined = (
  sandbox: Pick<Sandbox, "url" | "token">,
  { account, only, streams, database, reader, problems = [] }: Examined = {},
): Effect.Effect<Examination> =>
  Effect.gen(function* () {
    const all = yield* Effect.orDie(allStreams)
    return yield* examine({
      accounts: [accountOf(sandbox, { pageSize: 20, timeout: Duration.seconds(30), ...account })],
      streams: streams ?? (only === undefined ? all : all.filter(({ name }) => only.includes(name))),
      database: database === undefined ? undefined : databaseAt(database, reader),
      problems,
      isNaming: true,
      allStreams: all,
    })
  }).pipe(Effect.provide(Layer.orDie(http)), Logger.withMinimumLogLevel(LogLevel.None))

/** The messages of a check, with their level: `warn …`. */
export const linesOf = (
  { checks }: { readonly checks: ReadonlyArray<Finding> },
  check: string,
  stream?: string,
): ReadonlyArray<string> =>
  checks
    .filter(found => found.check === check && (stream === undefined || found.stream === stream))
    .map(({ level, message }) => `${level} ${message}`)

export const reportOf = ({ streams }: Examination, stream: string): StreamReport =>
  streams.find(report => report.stream === stream)!

/** All lines that are not a pass, as `check: message`. */
export const troubles = ({ checks }: Examination): ReadonlyArray<string> =>
  checks
    .filter(({ level }) => level !== "pass")
    .map(({ level, check, stream, message }) => `${level} ${stream ?? ""} ${check}: ${message}`)
