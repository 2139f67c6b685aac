import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Fiber, Redacted, Schedule, type Scope } from "effect"
import postgres from "postgres"
import { connect } from "../../src/postgres/connect.ts"
import type { EmbeddedServer } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { type PostgresProxy, postgresProxy } from "../../test/support/postgresProxy.ts"
import { randomOf } from "../../test/support/seeded.ts"
import { differences } from "./check.ts"
import { type Ended, type Running, startProgram } from "./program.ts"
import { between, change, disturb, living, serveWorld, worldOf } from "./world.ts"

/** One round: a new merchant and warehouse, several runs that are disturbed, then quiet, then the check. */

const LEASE_SECONDS = 5
const RUN_MILLIS = 4_000
/** A run that takes longer is stuck, on a slow machine too. */
const RUN_LIMIT_MILLIS = 600_000
/** Short enough to be felt by a run that is frozen, and longer than any quiet run waits for an answer. */
const TIMEOUT_SECONDS = { disturbed: 5, quiet: 60 }
const QUIET_PAUSE_MILLIS = 500
/** Tries of what a Postgres that is restarted, or an autovacuum worker, may refuse for a while: two minutes. */
const PATIENT_TRIES = 240
/** Records of all these worlds fit in a tenth of it: more is a leak, or pages that are kept. */
const MEMORY_MAX_MEGABYTES = 400

export interface RoundOptions {
  readonly server: EmbeddedServer
  readonly directory: string
  readonly seed: number
  /** No further disturbed run is begun after it. */
  readonly until: number
}

class Stuck extends Error {}

/** Asks Postgres, again where it is being restarted. */
const asked = <A>(ask: () => PromiseLike<A>): Effect.Effect<A> =>
  Effect.tryPromise(async () => await ask()).pipe(
    Effect.retry({ times: PATIENT_TRIES, schedule: Schedule.spaced(QUIET_PAUSE_MILLIS) }),
    Effect.orDie,
  )

const postmasterOf = ({ directory }: EmbeddedServer): Effect.Effect<number> =>
  asked(async () => Number((await readFile(join(directory, "postmaster.pid"), "utf8")).split("\n")[0]))

/** Waits for another one: what comes next must not meet the one that is on its way out. */
const restarted = (server: EmbeddedServer, pid: number): Effect.Effect<void> =>
  postmasterOf(server).pipe(
    Effect.delay("100 millis"),
    // It is empty while it is written.
    Effect.repeat({ until: found => found > 0 && found !== pid }),
    Effect.timeoutFail({
      duration: RUN_LIMIT_MILLIS,
      onTimeout: () => new Stuck("Postgres does not come back"),
    }),
    Effect.orDie,
    Effect.asVoid,
  )

/** An empty database of its own, gone with the scope. */
const database = ({ server, seed }: RoundOptions) =>
  Effect.gen(function* () {
    const name = `soak_${seed}`
    const admin = (statement: string) =>
      asked(async () => {
        const sql = postgres(Redacted.value(server.ownerUrl), { max: 1, onnotice: () => {} })
        await sql.unsafe(statement).finally(() => sql.end())
      })
    // An autovacuum worker may be in it, which only a superuser may end: it leaves by itself.
    yield* Effect.acquireRelease(admin(`CREATE DATABASE ${name}`), () =>
      Effect.ignore(Effect.sandbox(admin(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))),
    )
    return Redacted.make(Redacted.value(server.ownerUrl).replace(/\/[^/]*$/, `/${name}`))
  })

const ended = (running: Running): Effect.Effect<Ended> =>
  Effect.promise(() => running.ended).pipe(
    Effect.timeoutFail({ duration: RUN_LIMIT_MILLIS, onTimeout: () => new Stuck("a run does not end") }),
    Effect.tapError(() => Effect.sync(() => running.process.kill("SIGKILL"))),
    Effect.orDie,
  )

/** Attacks on a run beside the faults of HTTP, in words. */
const ATTACKS = [
  "nothing",
  "kill",
  "stop",
  "cut",
  "lose answers",
  "kill at a commit",
  "freeze",
  "restart",
] as const

const attack = (
  options: RoundOptions,
  running: Running,
  proxy: PostgresProxy,
  random: () => number,
): Effect.Effect<string> =>
  Effect.gen(function* () {
    const kind = ATTACKS[between(random, 0, ATTACKS.length - 1)]!
    const kill = () => void running.process.kill("SIGKILL")
    const when = random() < 0.5 ? "before" : "after"
    const point = between(random, 1, 60)
    const delay = Effect.sleep(random() * RUN_MILLIS)
    if (kind === "kill at a commit")
      proxy.setFault(({ n }) => (n === point ? { when, also: kill } : undefined))
    if (kind === "lose answers") proxy.setFault(() => (random() < 0.15 ? { when } : undefined))
    if (kind === "kill") yield* Effect.zipRight(delay, Effect.sync(kill))
    if (kind === "stop")
      yield* Effect.zipRight(
        delay,
        Effect.sync(() => running.process.kill(random() < 0.5 ? "SIGTERM" : "SIGINT")),
      )
    if (kind === "cut")
      for (let n = between(random, 1, 8); n > 0; n--)
        yield* Effect.zipRight(Effect.sleep(random() * 600), Effect.sync(proxy.cut))
    if (kind === "freeze") {
      yield* delay
      running.process.kill("SIGSTOP")
      yield* Effect.sleep(random() * 2_000 * LEASE_SECONDS)
      running.process.kill("SIGCONT")
    }
    if (kind === "restart") {
      yield* delay
      const pid = yield* postmasterOf(options.server)
      process.kill(pid, random() < 0.5 ? "SIGQUIT" : "SIGINT")
      yield* restarted(options.server, pid)
    }
    return kind
  })

/** Faults after the round, a line each; empty if all is well. */
export const runRound = (
  options: RoundOptions,
  tell: (line: string) => void,
): Effect.Effect<ReadonlyArray<string>, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const random = randomOf(options.seed)
    const ownerUrl = yield* database(options)
    const sql = yield* connect(ownerUrl)
    yield* migrate(sql)
    const proxy = yield* postgresProxy(ownerUrl)
    const sandbox = yield* serveWorld(worldOf(random, options.seed))
    const environment = {
      PAYCOMBAT_BASE_URL: sandbox.url,
      PAYCOMBAT_TOKEN: sandbox.token,
      PAYCOMBAT_RATE_PER_SECOND: "10000",
      PAYCOMBAT_PAGE_SIZE: String(between(random, 1, 10) * 50),
      PAYCOMBAT_LEASE_SECONDS: String(LEASE_SECONDS),
      PAYCOMBAT_READY_RECHECK: "1 millis",
      DATABASE_URL: Redacted.value(proxy.through(ownerUrl)),
    }
    const begin = (args: ReadonlyArray<string>, how: keyof typeof TIMEOUT_SECONDS = "disturbed") =>
      startProgram(args, options.directory, {
        ...environment,
        PAYCOMBAT_TIMEOUT_SECONDS: String(TIMEOUT_SECONDS[how]),
      })
    const wrong: Array<string> = []
    const judge = (about: string, { memoryMegabytes, code, said }: Ended, allowed: ReadonlyArray<number>) => {
      if (memoryMegabytes > MEMORY_MAX_MEGABYTES)
        wrong.push(`${about}: held ${Math.round(memoryMegabytes)} MB of memory`)
      if (!allowed.includes(code)) wrong.push(`${about}: ended with ${code}: ${said.trim().slice(-600)}`)
    }
    // Killed processes keep leases for their time, and statements that they had sent may renew them.
    const leasesRunOut = Effect.zipRight(
      proxy.ended,
      asked(() => sql`SELECT FROM sync.leases WHERE expires_at > clock_timestamp()`).pipe(
        Effect.delay(QUIET_PAUSE_MILLIS),
        Effect.repeat({ until: leases => leases.length === 0 }),
        Effect.timeoutFail({
          duration: RUN_LIMIT_MILLIS,
          onTimeout: () => new Stuck("a lease does not end"),
        }),
      ),
    )

    for (let n = between(random, 2, 5); n > 0 && Date.now() < options.until; n--) {
      if (random() < 0.8) yield* leasesRunOut
      disturb(sandbox, random)
      proxy.recount()
      const world = yield* Effect.fork(living(sandbox, random))
      const first = begin(random() < 0.2 ? ["sync", "--full"] : ["sync"])
      const second = random() < 0.25 ? begin(["sync"]) : undefined
      const kind = yield* attack(options, first, proxy, random)
      const end = yield* ended(first)
      proxy.setFault(null)
      // 1: a stream failed, which faults may cause; 3: another run's lease; the others come from the attack.
      judge(`run under "${kind}"`, end, [0, 1, 3, 130, 137, 143])
      if (second !== undefined) judge("the second of two runs", yield* ended(second), [0, 1, 3])
      yield* Fiber.interrupt(world)
      tell(`  ${kind}${second === undefined ? "" : ", two at once"}: ${end.code}`)
      change(sandbox, random)
    }

    sandbox.setFault(null)
    yield* leasesRunOut
    // First the interrupted passes, then three complete passes, which prove removals.
    for (const args of [
      ["sync", "--full"],
      ["sync", "--full"],
      ["sync", "--full"],
      ["sync", "--full"],
    ])
      judge(`the quiet ${args.join(" ")}`, yield* ended(begin(args, "quiet")), [0])
    wrong.push(...(yield* Effect.promise(() => differences(sql, sandbox))))
    return wrong
  })
