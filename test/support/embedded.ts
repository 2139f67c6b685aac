import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Redacted, Scope } from "effect"
import { type EmbeddedServer, embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { runSql, temporaryDirectory } from "./postgres.ts"

/** Helpers for tests that create, share, break and restart embedded servers of their own. */

export const lockFileIn = (dataDir: string) => join(dataDir, "postgres/data/postmaster.pid")

export const isUp = (dataDir: string) => existsSync(lockFileIn(dataDir))

/** Returns the server's process. Fails if none runs. */
export const postmasterIn = (dataDir: string) =>
  Number(readFileSync(lockFileIn(dataDir), "utf8").split("\n")[0])

/** Kills a process with a signal that no handler can catch, and waits until it is gone. */
export const killNow = (pid: number): Effect.Effect<void> =>
  Effect.sync(() => process.kill(pid, "SIGKILL")).pipe(
    Effect.zipRight(
      Effect.sync(() => isAlive(pid)).pipe(Effect.repeat({ while: alive => alive }), Effect.asVoid),
    ),
  )

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0) && !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/** A data directory. Deleting it also removes a server that a failed test left in it. */
export const scratchDataDir: Effect.Effect<string, never, Scope.Scope> = Effect.flatMap(
  temporaryDirectory,
  directory =>
    Effect.acquireRelease(Effect.succeed(join(directory, 'data dir $HOME "quoted"')), dataDir =>
      Effect.suspend(() => (isUp(dataDir) ? killNow(postmasterIn(dataDir)) : Effect.void)).pipe(
        Effect.ignoreLogged,
      ),
    ),
)

export interface Client {
  readonly process: ChildProcess
  readonly port: number
  readonly ownerUrl: Redacted.Redacted
  /** Asks the process to close its scope, and waits for its end. */
  readonly leave: Effect.Effect<void>
}

const CHILD = fileURLToPath(new URL("embeddedChild.ts", import.meta.url))

/** Starts another process that uses the server of a data directory. */
export const client = (dataDir: string): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const args = ["--import", "tsx", CHILD, dataDir, import.meta.url]
        return spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
      }),
      running => Effect.sync(() => running.kill("SIGKILL")),
    )
    const line = yield* Effect.promise(async () => {
      const [first] = await Promise.race([once(child.stdout, "data"), once(child, "exit")])
      if (!Buffer.isBuffer(first)) throw new Error("The process ended before it had a server.")
      return first.toString("utf8")
    })
    const { port, ownerUrl }: { port: number; ownerUrl: string } = JSON.parse(line)
    const leave = Effect.promise(async () => {
      const ended = once(child, "exit")
      child.stdin.end()
      await ended
    })
    return { process: child, port, ownerUrl: Redacted.make(ownerUrl), leave }
  })

/** Settings for a quick start. A power failure would lose data. */
export const FAST = { settings: { fsync: "off" } }

export const sql = (url: Redacted.Redacted, statements: string) =>
  Effect.promise(() => runSql(url, statements))

export const KEEP_ROW = "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)"
export const keptRows = (server: Pick<EmbeddedServer, "ownerUrl">) =>
  sql(server.ownerUrl, "SELECT n FROM kept")

/** Uses a server until the returned effect runs. */
export const use = (dataDir: string, options = FAST as Parameters<typeof embeddedPostgres>[1]) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const server = yield* Scope.extend(embeddedPostgres(dataDir, options), scope)
    return { ...server, leave: Scope.close(scope, Exit.void) }
  })
