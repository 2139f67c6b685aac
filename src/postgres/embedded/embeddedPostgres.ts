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
import { type Keeper, keep } from "./presence.ts"
import { writeState } from "./state.ts"

/** A running Postgres that this process may use until its scope closes. */
export interface EmbeddedServer {
  /** Login `paycombat`: owns the database `paycombat`, and is no superuser. */
  readonly ownerUrl: Redacted.Redacted
  /** Login `paycombat_query`: may read what is granted to `paycombat_reader`, and do nothing else. */
  readonly readerUrl: Redacted.Redacted
  /** Where Postgres keeps its files. */
  readonly directory: string
  readonly port: number
  /**
   * Fails when the server is on another port for good: what was given out leads nowhere then, and who stays up should
   * end, to be started again.
   */
  readonly moved: Effect.Effect<never, WarehouseError>
  /** What the first use did to this machine that its owner may want to know, a sentence each. */
  readonly notes: ReadonlyArray<string>
}

export interface EmbeddedOptions {
  /** Postgres settings for a server that this call starts; one that is up already keeps its own. */
  readonly settings?: Readonly<Record<string, string>>
  /** Statements, a line each, that the superuser runs when the cluster is made. */
  readonly bootstrap?: ReadonlyArray<string>
  /** The module that the programs' package is looked up from: another Postgres version is another package's. */
  readonly resolveFrom?: string
}

/** How long a server may take until it answers: after a crash it first replays its log. */
const READY_LIMIT = Duration.minutes(5)
const POLL = Duration.millis(40)
const RESTART_DELAY = Duration.millis(250)
/** Between two tries to have a lost server back. */
const REJOIN_DELAY = Duration.seconds(5)

/** What this process holds of the server, for its finalizer: written where no interruption can come between. */
interface Held {
  keeper: Keeper | undefined
  started: StartAttempt | undefined
}

/** Where to start a server that is down. One that this process gave out the port of is started nowhere else. */
interface Place {
  readonly port: number
  readonly isKnown: boolean
}

/**
 * The Postgres of a data directory: made on first use, started when it is down, joined when it is up. Any number
 * of processes may use it at once; the one whose scope closes last stops it. It outlives the death of any of
 * them. Its own death is mended by the next use, and by processes that still hold it, on the port that they know;
 * where another use had to start it on another port meanwhile, `moved` fails.
 * Limit: one machine, or container, at a time. Two that share the directory are not kept apart.
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
    const held: Held = { keeper: undefined, started: undefined }
    yield* Effect.addFinalizer(() => leave(cluster, held))
    const { port } = yield* enter(cluster, settings, held, {
      port: cluster.state.port,
      isKnown: false,
    })
    const moved = yield* Deferred.make<never, WarehouseError>()
    yield* Effect.forkScoped(Effect.forever(rejoin(cluster, settings, held, { port, moved })))
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

/** Looks, and joins what is up, waits for what is coming up or going down, starts what is not there; until it is in. */
const enter = (
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  held: Held,
  place: Place,
): Effect.Effect<Keeper, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(READY_LIMIT)
    while ((yield* Clock.currentTimeMillis) < until) {
      const postmaster = yield* findPostmaster(cluster)
      if (postmaster === undefined) {
        const failure = held.started === undefined ? "not started" : yield* held.started.failure
        if (failure !== undefined) {
          if (failure !== "not started") yield* Effect.sleep(RESTART_DELAY)
          if (typeof failure === "object") {
            // What it died of may be over at the next try, which must not take this death for its own.
            held.started = undefined
            return yield* didNotStart(cluster, failure.fatal)
          }
          const port = yield* portFor(place, failure)
          if (port !== undefined) yield* start(cluster, settings, held, port)
        }
      } else if (postmaster.isReady) {
        const keeper = yield* join(cluster, held, postmaster)
        if (keeper !== undefined) return keeper
      }
      yield* Effect.sleep(POLL)
    }
    const isTaken = (yield* held.started?.failure ?? Effect.void) === "port taken"
    return yield* didNotStart(
      cluster,
      isTaken
        ? `something else listens on its port ${place.port}`
        : `no answer within ${Duration.format(READY_LIMIT)}`,
    )
  })

/** The port to start on now; undefined while the one that has to be is taken. */
const portFor = (
  { port, isKnown }: Place,
  failure: StartFailure | "not started",
): Effect.Effect<number | undefined, WarehouseError> => {
  const wasTaken = failure === "port taken"
  if (!isKnown) return freePort(wasTaken ? 0 : port)
  // At first Postgres itself finds out: to look takes the port for a moment, and another process that wants to start
  // the server there would go elsewhere. Later, not every look is worth a failed start in the log.
  if (!wasTaken) return Effect.succeed(port)
  return Effect.map(isFree(port), free => (free ? port : undefined))
}

const didNotStart = (cluster: Cluster, why: string) =>
  new WarehouseError({
    message: `The embedded Postgres did not start: ${why}. Its log is ${logFile(cluster)}.`,
  })

const start = (
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  held: Held,
  port: number,
): Effect.Effect<void, ConfigurationError> =>
  Effect.map(startPostmaster(cluster, port, settings), started => {
    held.started = started
  }).pipe(Effect.uninterruptible)

/** Undefined when it did not let us in now; looking again says why. */
const join = (
  cluster: Cluster,
  held: Held,
  postmaster: Postmaster,
): Effect.Effect<Keeper | undefined, ConfigurationError> =>
  Effect.gen(function* () {
    const kept = yield* Effect.either(keep(cluster, postmaster.port))
    if (Either.isLeft(kept)) {
      if (kept.left === "not yet") return undefined
      return yield* new ConfigurationError({
        message: `The embedded Postgres refuses the password in ${cluster.home}/server.json: bring back the file that belongs to this database.`,
      })
    }
    held.keeper = kept.right
    if (held.started?.pid === postmaster.pid && postmaster.port !== cluster.state.port)
      yield* writeState(cluster.home, { ...cluster.state, port: postmaster.port })
    return kept.right
  }).pipe(Effect.uninterruptible)

/** Waits until the server is lost, then has it back, on the same port: a process that stays up survives its crash. */
const rejoin = (
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  held: Held,
  { port, moved }: { readonly port: number; readonly moved: Deferred.Deferred<never, WarehouseError> },
): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (held.keeper === undefined) return yield* Effect.never
    yield* Deferred.await(held.keeper.lost)
    yield* held.keeper.close
    held.keeper = undefined
    yield* Effect.logWarning(
      `The embedded Postgres went away. Its log is ${logFile(cluster)}. Starting it again.`,
    )
    held.started = undefined
    const back = yield* enter(cluster, settings, held, { port, isKnown: true }).pipe(
      Effect.tapError(error => Effect.logWarning(error.message)),
      Effect.retry(Schedule.spaced(REJOIN_DELAY)),
    )
    if (back.port === port) return
    const message = `The embedded Postgres is now on port ${back.port}: start this command again.`
    yield* Effect.logError(message)
    yield* Deferred.fail(moved, new WarehouseError({ message }))
  }).pipe(Effect.catchAll(() => Effect.void))

/**
 * The last one out stops the server. So does one that started it and was interrupted before it was in, unless
 * others are in by now: it goes in to find out.
 */
const leave = (cluster: Cluster, held: Held): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (held.keeper === undefined && held.started !== undefined) {
      const postmaster = yield* findPostmaster(cluster)
      if (postmaster?.isReady === true) yield* join(cluster, held, postmaster)
    }
    const isLast = held.keeper === undefined ? held.started !== undefined : yield* held.keeper.isLast
    if (isLast) yield* stopPostmaster(cluster)
    if (held.keeper !== undefined) yield* held.keeper.close
  }).pipe(Effect.catchAll(error => Effect.logWarning(error.message)))
