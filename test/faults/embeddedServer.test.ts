import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdir, readFile, stat, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { dirname, join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, type Scope } from "effect"
import { type EmbeddedServer, embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import {
  type Client,
  client,
  FAST,
  isUp,
  KEEP_ROW,
  keptRows,
  killNow,
  lockFileIn,
  postmasterIn,
  scratchDataDir,
  sql,
  use,
} from "../support/embedded.ts"
import { runSql } from "../support/postgres.ts"

/** Tests an embedded server after it, or a process that uses it, is killed. */

/** Time for a server to come back by itself after a crash. */
const BACK_WITHIN = "90 seconds"

/**
 * Kills the server while its user is suspended, and takes its port until the returned effect runs.
 * `meanwhile` also runs before the user can notice.
 */
const killedAndTaken = (
  dataDir: string,
  { process: user, port }: Client,
  meanwhile: Effect.Effect<void, unknown, Scope.Scope> = Effect.void,
) =>
  Effect.gen(function* () {
    user.kill("SIGSTOP")
    yield* killNow(postmasterIn(dataDir))
    const taken = createServer(socket => socket.destroy())
    yield* Effect.addFinalizer(() => Effect.sync(() => taken.close()))
    // The last sessions of the server hold the port for a moment longer.
    yield* Effect.tryPromise(async () => {
      taken.listen(port, "127.0.0.1")
      await once(taken, "listening")
    }).pipe(Effect.retry(Schedule.spaced("20 millis")))
    yield* meanwhile
    user.kill("SIGCONT")
    return Effect.sync(() => taken.close())
  })

describe("an embedded server recovers", () => {
  it.scopedLive("after a kill of its user: the next process joins it, and stops it", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const killed = yield* client(dataDir)
      yield* sql(killed.ownerUrl, KEEP_ROW)
      yield* killNow(killed.process.pid ?? 0)
      expect(isUp(dataDir)).toBe(true)
      const next = yield* use(dataDir)
      expect(next.port).toBe(killed.port)
      expect(yield* keptRows(next)).toEqual([{ n: 42 }])
      // Postgres takes a while to notice that the killed process is gone.
      const users = "SELECT FROM pg_stat_activity WHERE application_name = 'paycombat-sync presence'"
      yield* Effect.repeat(sql(next.ownerUrl, users), { until: rows => rows.length === 1 })
      yield* next.leave
      expect(isUp(dataDir)).toBe(false)
    }),
  )

  it.scopedLive("after its own kill: a process that holds it restarts it on the same port", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const server = yield* use(dataDir)
      yield* sql(server.ownerUrl, KEEP_ROW)
      yield* killNow(postmasterIn(dataDir))
      const rows = yield* Effect.tryPromise(() => runSql(server.ownerUrl, "SELECT n FROM kept")).pipe(
        Effect.retry(Schedule.spaced("50 millis")),
      )
      expect(rows).toEqual([{ n: 42 }])
      yield* server.leave
      expect(isUp(dataDir)).toBe(false)
    }),
  )

  it.scopedLive(
    "after its own kill with its port taken: it comes back there when the port is free again",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* scratchDataDir
        const user = yield* client(dataDir)
        yield* sql(user.ownerUrl, KEEP_ROW)
        const release = yield* killedAndTaken(dataDir, user)
        yield* Effect.sleep("1500 millis")
        yield* release
        const rows = yield* Effect.tryPromise(() => runSql(user.ownerUrl, "SELECT n FROM kept")).pipe(
          Effect.retry(Schedule.spaced("50 millis")),
          Effect.timeout(BACK_WITHIN),
        )
        expect(rows).toEqual([{ n: 42 }])
        yield* user.leave
        expect(isUp(dataDir)).toBe(false)
      }),
  )

  it.scopedLive("on another port: a process with the old port ends with an error", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const user = yield* client(dataDir)
      yield* sql(user.ownerUrl, KEEP_ROW)
      const ended = once(user.process, "exit")
      let next: EmbeddedServer | undefined
      yield* killedAndTaken(
        dataDir,
        user,
        Effect.map(use(dataDir), server => {
          next = server
        }),
      )
      expect(next!.port).not.toBe(user.port)
      expect(yield* Effect.promise(() => ended)).toEqual([1, null])
      expect(yield* keptRows(next!)).toEqual([{ n: 42 }])
    }),
  )

  it.scopedLive("after several failed starts: it is tried until it starts", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const server = yield* use(dataDir)
      yield* sql(server.ownerUrl, KEEP_ROW)
      const file = join(dirname(lockFileIn(dataDir)), "postgresql.auto.conf")
      const before = yield* Effect.promise(() => readFile(file))
      yield* Effect.promise(() => writeFile(file, "max_connections = nonsense"))
      yield* killNow(postmasterIn(dataDir))
      yield* Effect.promise(() => readFile(join(dataDir, "postgres/server.log"), "utf8")).pipe(
        Effect.delay("50 millis"),
        Effect.repeat({ until: log => log.includes("nonsense") }),
      )
      yield* Effect.promise(() => writeFile(file, before))
      const rows = yield* Effect.tryPromise(() => runSql(server.ownerUrl, "SELECT n FROM kept")).pipe(
        Effect.retry(Schedule.spaced("50 millis")),
        Effect.timeout(BACK_WITHIN),
      )
      expect(rows).toEqual([{ n: 42 }])
    }),
  )

  it.scopedLive("after a kill with all its users: it starts at the next use, even if its pid is reused", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const killed = yield* client(dataDir)
      yield* sql(killed.ownerUrl, KEEP_ROW)
      const { uid, gid } = yield* Effect.promise(() => stat(dirname(lockFileIn(dataDir))))
      yield* killNow(killed.process.pid ?? 0)
      yield* killNow(postmasterIn(dataDir))
      const stranger = yield* Effect.acquireRelease(
        Effect.sync(() => spawn("sleep", ["60"], process.getuid?.() === 0 ? { uid, gid } : {})),
        child => Effect.sync(() => child.kill()),
      )
      const lines = (yield* Effect.promise(() => readFile(lockFileIn(dataDir), "utf8"))).split("\n")
      yield* Effect.promise(() =>
        writeFile(lockFileIn(dataDir), [stranger.pid, ...lines.slice(1)].join("\n")),
      )
      expect(yield* keptRows(yield* use(dataDir))).toEqual([{ n: 42 }])
      expect(stranger.exitCode).toBe(null)
    }),
  )

  it.scopedLive("with its port taken by another program: it moves to a free port", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const before = yield* use(dataDir)
      yield* before.leave
      yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createServer>>(resume => {
          const taken = createServer().listen(before.port, "127.0.0.1", () => resume(Effect.succeed(taken)))
        }),
        taken => Effect.sync(() => taken.close()),
      )
      const after = yield* use(dataDir)
      expect(after.port).not.toBe(before.port)
      expect(yield* sql(after.readerUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }])
    }),
  )

  it.scopedLive("after an interrupted first use: no file remains", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      for (const milliseconds of [50, 250, 500]) {
        const fiber = yield* Effect.fork(Effect.scoped(embeddedPostgres(dataDir, FAST)))
        yield* Effect.sleep(milliseconds)
        yield* Fiber.interrupt(fiber)
        // On a slow machine the directory may not exist yet.
        const left = yield* Effect.promise(() => readdir(dataDir).catch(() => []))
        expect(left.filter(name => name !== "postgres")).toEqual([])
        expect(isUp(dataDir)).toBe(false)
      }
      expect(yield* sql((yield* use(dataDir)).ownerUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }])
    }),
  )
})
