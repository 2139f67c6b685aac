import { Clock, Deferred, Duration, Effect, Either, Redacted, Schedule, type Scope } from "effect"
import { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import { type Cluster, openCluster } from "./cluster.ts"
import {
  findPostmaster,
  freePort,
  isFree,
  logFile,
  type Postmaster,
  type StartAttempt,
  type StartFailure,
  startPostmaster,
  stopPostmaster,
} from "./postmaster.ts"
import { acquirePresence, type PresenceLock } from "./presence.ts"
import { writeState } from "./state.ts"

/** A running Postgres that this process may use until the scope closes. */
export interface EmbeddedServer {
  /** URL of the login `paycombat`. It owns the database `paycombat`, and is not a superuser. */
  readonly ownerUrl: Redacted.Redacted
  /** URL of the login `paycombat_query`. It may only read what is granted to `paycombat_reader`. */
  readonly readerUrl: Redacted.Redacted
  readonly directory: string
  readonly port: number
  /** Fails if the server restarted on another port. URLs handed out before are invalid: exit and start again. */
  readonly moved: Effect.Effect<never, WarehouseError>
  /** Changes that the first use made to this machine, one sentence each. */
  readonly notes: ReadonlyArray<string>
}

export interface EmbeddedOptions {
  /** Postgres settings for a server that this call starts. A running server keeps its own. */
  readonly settings?: Readonly<Record<string, string>>
  /** Statements, one per line, that the superuser runs when the cluster is created. */
  readonly bootstrap?: ReadonlyArray<string>
  /** Module from which the package of the programs is resolved. Each Postgres version has its own package. */
  readonly resolveFrom?: string
}

/** Time limit for a server to answer. After a crash it first replays its log. */
const READY_LIMIT = Duration.minutes(5)
const POLL = Duration.millis(40)
const RESTART_DELAY = Duration.millis(250)
const REJOIN_DELAY = Duration.seconds(5)

interface Resources {
  presence: PresenceLock | undefined
  started: StartAttempt | undefined
}

/** Port to start a stopped server on. If this process has handed out the port, no other port will do. */
interface PortChoice {
  readonly port: number
  readonly isFixed: boolean
}

/**
 * Provides the Postgres of a data directory: creates, starts or joins it. Any number of processes may use it; the last
 * one stops it. If the server dies, a process that holds it restarts it on the same port; `moved` fails if another use
 * took another port meanwhile. Limit: one machine, or container, at a time.
 */
export const embeddedPostgres = (
  dataDir: string,
  options: EmbeddedOptions = {},
): Effect.Effect<EmbeddedServer, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    const settings = options.settings ?? {}
    const cluster = yield* openCluster(dataDir, {
      resolveFrom: options.resolveFrom ?? import.meta.url,
      bootstrap: options.bootstrap ?? [],
      durable: settings.fsync !== "off",
    })
    const resources: Resources = { presence: undefined, started: undefined }
    yield* Effect.addFinalizer(() => release(cluster, resources))
    const { port } = yield* acquire(cluster, settings, resources, {
      port: cluster.state.port,
      isFixed: false,
    })
    const moved = yield* Deferred.make<never, WarehouseError>()
    yield* Effect.forkScoped(Effect.forever(rejoin(cluster, settings, resources, { port, moved })))
    const url = (login: string, password: string) =>
      Redacted.make(`postgres://${login}:${password}@127.0.0.1:${port}/paycombat`)
    return {
      ownerUrl: url("paycombat", cluster.state.ownerPassword),
      readerUrl: url("paycombat_query", cluster.state.readerPassword),
      directory: cluster.data,
      port,
      moved: Deferred.await(moved),
      notes: cluster.notes,
    }
  })

/** Joins a running server, waits for one that starts or stops, or starts one, until this process holds it. */
const acquire = (
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  resources: Resources,
  choice: PortChoice,
): Effect.Effect<PresenceLock, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(READY_LIMIT)
    while ((yield* Clock.currentTimeMillis) < until) {
      const postmaster = yield* findPostmaster(cluster)
      if (postmaster === undefined) {
        const failure = resources.started === undefined ? "not started" : yield* resources.started.failure
        if (failure !== undefined) {
          if (failure !== "not started") yield* Effect.sleep(RESTART_DELAY)
          if (typeof failure === "object") {
            // The cause may be gone at the next attempt, which must not take this failure for its own.
            resources.started = undefined
            return yield* startError(cluster, failure.fatal)
          }
          const port = yield* portFor(choice, failure)
          if (port !== undefined) yield* start(cluster, settings, resources, port)
        }
      } else if (postmaster.isReady) {
        const presence = yield* attach(cluster, resources, postmaster)
        if (presence !== undefined) return presence
      }
      yield* Effect.sleep(POLL)
    }
    const isTaken = (yield* resources.started?.failure ?? Effect.void) === "port taken"
    return yield* startError(
      cluster,
      isTaken
        ? `another process listens on its port ${choice.port}`
        : `no answer within ${Duration.format(READY_LIMIT)}`,
    )
  })

/** Returns the port to start on now; undefined while the required port is taken. */
const portFor = (
  { port, isFixed }: PortChoice,
  failure: StartFailure | "not started",
): Effect.Effect<number | undefined, WarehouseError> => {
  const wasTaken = failure === "port taken"
  if (!isFixed) return freePort(wasTaken ? 0 : port)
  // At the first attempt Postgres itself tests the port: a test from here takes the port for a moment, and another
  // process that wants to start the server there would choose another one. Later a test is better than a failed start
  // in the log at each poll.
  if (!wasTaken) return Effect.succeed(port)
  return Effect.map(isFree(port), free => (free ? port : undefined))
}

const startError = (cluster: Cluster, reason: string) =>
  new WarehouseError({
    message: `The embedded Postgres did not start: ${reason}. Its log is ${logFile(cluster)}.`,
  })

const start = (
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  resources: Resources,
  port: number,
): Effect.Effect<void, ConfigurationError> =>
  Effect.map(startPostmaster(cluster, port, settings), started => {
    resources.started = started
  }).pipe(Effect.uninterruptible)

/** Takes a presence lock. Undefined if the server did not accept it now; the next poll shows why. */
const attach = (
  cluster: Cluster,
  resources: Resources,
  postmaster: Postmaster,
): Effect.Effect<PresenceLock | undefined, ConfigurationError> =>
  Effect.gen(function* () {
    const attempt = yield* Effect.either(acquirePresence(cluster, postmaster.port))
    if (Either.isLeft(attempt)) {
      if (attempt.left === "not yet") return undefined
      return yield* new ConfigurationError({
        message: `The embedded Postgres refuses the password in ${cluster.home}/server.json: put back the file that belongs to this database.`,
      })
    }
    resources.presence = attempt.right
    if (resources.started?.pid === postmaster.pid && postmaster.port !== cluster.state.port)
      yield* writeState(cluster.home, { ...cluster.state, port: postmaster.port })
    return attempt.right
  }).pipe(Effect.uninterruptible)

const rejoin = (
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  resources: Resources,
  { port, moved }: { readonly port: number; readonly moved: Deferred.Deferred<never, WarehouseError> },
): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (resources.presence === undefined) return yield* Effect.never
    yield* Deferred.await(resources.presence.lost)
    yield* resources.presence.close
    resources.presence = undefined
    yield* Effect.logWarning(
      `The embedded Postgres stopped unexpectedly. Its log is ${logFile(cluster)}. Starting it again.`,
    )
    resources.started = undefined
    const back = yield* acquire(cluster, settings, resources, { port, isFixed: true }).pipe(
      Effect.tapError(error => Effect.logWarning(error.message)),
      Effect.retry(Schedule.spaced(REJOIN_DELAY)),
    )
    if (back.port === port) return
    const message = `The embedded Postgres is now on port ${back.port}: start this command again.`
    yield* Effect.logError(message)
    yield* Deferred.fail(moved, new WarehouseError({ message }))
  }).pipe(Effect.catchAll(() => Effect.void))

/** Releases the server, and stops it if this process is the last one. A process that never joined joins to find out. */
const release = (cluster: Cluster, resources: Resources): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (resources.presence === undefined && resources.started !== undefined) {
      const postmaster = yield* findPostmaster(cluster)
      if (postmaster?.isReady === true) yield* attach(cluster, resources, postmaster)
    }
    const isLast =
      resources.presence === undefined ? resources.started !== undefined : yield* resources.presence.isLast
    if (isLast) yield* stopPostmaster(cluster)
    if (resources.presence !== undefined) yield* resources.presence.close
  }).pipe(Effect.catchAll(error => Effect.logWarning(error.message)))
