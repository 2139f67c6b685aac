import { spawn } from "node:child_process"
import { open, readFile, rename, stat, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { Duration, Effect, Schedule } from "effect"
import { type ConfigurationError, WarehouseError } from "../../core/errors.ts"
import { asAccount, complaint, complaintOf, programEnvironment, run } from "./account.ts"
import type { Cluster } from "./cluster.ts"
import { codeOf, onFiles } from "./failure.ts"
import { startSettings } from "./settings.ts"

/** Content of `postmaster.pid`, which Postgres writes when it starts and removes when it stops. */
export interface Postmaster {
  readonly pid: number
  readonly port: number
  readonly isReady: boolean
}

export interface StartAttempt {
  readonly pid: number | undefined
  /** Undefined while the server runs or starts. */
  readonly failure: Effect.Effect<StartFailure | undefined, ConfigurationError>
}

/** Reason of a failed start. `other`: another start won, or the dead server's last sessions are ending: poll again. */
export type StartFailure = "other" | "port taken" | { readonly fatal: string }

const LOG_LIMIT_BYTES = 1_000_000
/** Time limit for a stop, which writes memory to disk. */
const STOP_LIMIT = Duration.minutes(2)
const STOP_POLL = Duration.millis(20)
/** Ports below those that systems use for outgoing connections, so that a remembered port stays free. */
const PORTS = { first: 15_000, count: 15_000 }
const PORT_ATTEMPTS = 100

export const logFile = (cluster: Cluster) => join(cluster.home, "server.log")
const lockFile = (cluster: Cluster) => join(cluster.data, "postmaster.pid")

/** Finds the running server of this cluster. Undefined if none runs, even if a stale file exists. */
export const findPostmaster = (cluster: Cluster): Effect.Effect<Postmaster | undefined, ConfigurationError> =>
  onFiles(`read ${lockFile(cluster)}`, async () => {
    const lines = await readLockFile(cluster)
    const pid = Number(lines?.[0])
    if (lines === undefined || !Number.isInteger(pid) || pid <= 0) return undefined
    if (!(await isPostmasterOf(cluster, pid))) return undefined
    return { pid, port: Number(lines[3]), isReady: lines[7]?.trim() === "ready" }
  })

const readLockFile = (cluster: Cluster): Promise<ReadonlyArray<string> | undefined> =>
  readFile(lockFile(cluster), "utf8").then(
    text => text.split("\n"),
    error => {
      if (codeOf(error) === "ENOENT") return undefined
      throw error
    },
  )

/** Checks that a process is this cluster's server: systems reuse pids, soon in a container. */
const isPostmasterOf = async (cluster: Cluster, pid: number): Promise<boolean> => {
  if (!isAlive(pid)) return false
  if (process.platform === "win32") return true
  if (process.platform === "linux") {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
    return command.includes(`\0-D\0${cluster.data}\0`)
  }
  const ps = await Effect.runPromise(run("ps", ["-ww", "-o", "command=", "-p", String(pid)]))
  return ps.stdout.includes(` -D ${cluster.data} `)
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) === "EPERM"
  }
}

/**
 * Starts a server that outlives this process, in a session of its own, so that Ctrl-C in this terminal does not reach
 * it. Its output goes to the log file, which is rotated here. The caller polls whether it came up.
 */
export const startPostmaster = (
  cluster: Cluster,
  port: number,
  settings: Readonly<Record<string, string>>,
): Effect.Effect<StartAttempt, ConfigurationError> =>
  onFiles(`start Postgres in ${cluster.data}`, async () => {
    await replaceStalePid(cluster)
    const log = await openLog(cluster)
    try {
      const { size } = await log.stat()
      const flags = Object.entries({ ...startSettings(port), ...settings }).flatMap(([name, value]) => [
        "-c",
        `${name}=${value}`,
      ])
      // `pg_ctl start` is not used, because it passes the directory through a shell.
      const child = spawn(cluster.programs.postgres, ["-D", cluster.data, ...flags], {
        ...asAccount(cluster.account),
        cwd: "/",
        detached: true,
        env: programEnvironment(),
        stdio: ["ignore", log.fd, log.fd],
        windowsHide: true,
      })
      let ended: string | undefined
      child.on("error", error => {
        ended = codeOf(error)
      })
      child.on("exit", (code, signal) => {
        ended = signal ?? `exit code ${code}`
      })
      child.unref()
      const failure = onFiles(`read ${logFile(cluster)}`, async () =>
        ended === undefined ? undefined : failureOf(ended, await readLogFrom(cluster, size)),
      )
      return { pid: child.pid, failure }
    } finally {
      await log.close()
    }
  })

/**
 * Replaces the pid in a stale lock file by this process' pid. Postgres does not start while that pid is a living
 * process of the user, other than its parent. The file stays: its last lines show sessions of the dead server.
 */
const replaceStalePid = async (cluster: Cluster): Promise<void> => {
  const lines = await readLockFile(cluster)
  const pid = Math.abs(Number(lines?.[0]))
  if (lines === undefined || pid === process.pid || !isAlive(pid) || (await isPostmasterOf(cluster, pid)))
    return
  await writeFile(lockFile(cluster), [process.pid, ...lines.slice(1)].join("\n"))
}

const openLog = async (cluster: Cluster) => {
  const path = logFile(cluster)
  const size = await stat(path).then(
    file => file.size,
    () => 0,
  )
  if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`)
  return open(path, "a", 0o600)
}

const readLogFrom = async (cluster: Cluster, offset: number): Promise<string> =>
  (await readFile(logFile(cluster))).subarray(offset).toString("utf8")

const failureOf = (ended: string, log: string): StartFailure => {
  // The server ran, and another process stopped or killed it.
  if (ended === "exit code 0" || ended.startsWith("SIG")) return "other"
  if (log.includes("could not create any TCP/IP sockets")) return "port taken"
  if (/lock file "[^"]*" already exists|is still in use/.test(log)) return "other"
  return { fatal: complaintOf(log) ?? ended }
}

/** Returns a free port of 127.0.0.1: `preferred` if it is free. */
export const freePort = (preferred: number): Effect.Effect<number, WarehouseError> =>
  Effect.gen(function* () {
    if (preferred !== 0 && (yield* isFree(preferred))) return preferred
    for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
      const port = PORTS.first + Math.floor(Math.random() * PORTS.count)
      if (yield* isFree(port)) return port
    }
    return yield* new WarehouseError({
      message: "No free port was found on 127.0.0.1 for the embedded Postgres.",
    })
  })

export const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.async(resume => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

/** Stops the server. Open sessions are ended, and all commits are on disk. */
export const stopPostmaster = (cluster: Cluster): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const stopping = yield* findPostmaster(cluster)
    if (stopping === undefined) return
    const args = ["stop", "-D", cluster.data, "-m", "fast", "-W"]
    const finished = yield* run(cluster.programs.pgCtl, args, { account: cluster.account })
    // `pg_ctl -w` is not used, because it waits until the lock file is gone, and would mistake the lock file of the
    // next server for this one's.
    const isGone = yield* Effect.map(findPostmaster(cluster), other => other?.pid !== stopping.pid).pipe(
      Effect.repeat({ until: gone => gone, schedule: Schedule.spaced(STOP_POLL) }),
      Effect.timeoutTo({ duration: STOP_LIMIT, onTimeout: () => false, onSuccess: () => true }),
    )
    if (!isGone)
      return yield* new WarehouseError({
        message: `The embedded Postgres did not stop within ${Duration.format(STOP_LIMIT)} (${complaint(finished)}). Its log is ${logFile(cluster)}.`,
      })
  })
