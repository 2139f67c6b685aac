import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { mkdir, rename, symlink } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Effect, Redacted, type Scope } from "effect"
import { beforeAll, inject } from "vitest"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { temporaryDirectory } from "./postgres.ts"

/**
 * Runs the real program as a process of its own, built from the sources of this run, in an empty directory.
 */

const PROJECT = fileURLToPath(new URL("../../", import.meta.url))
/** Files that an installed package has beside `dist`. */
const BESIDE = ["package.json", "drizzle", "src", "node_modules"]
const LIMIT_MS = 120_000
const BUILD_LIMIT_MS = 240_000
const STOP_LIMIT_MS = 30_000
const POLL_MS = 20

/**
 * Builds the program once per test run. The first test that asks builds it; the others wait. Deleted with the
 * run's directory.
 */
const build = async (): Promise<string> => {
  const program = join(inject("postgresDirectory"), "program")
  const unfinished = `${program}.unfinished`
  const isFirst = await mkdir(`${program}.lock`).then(
    () => true,
    () => false,
  )
  if (isFirst) {
    await mkdir(unfinished)
    for (const name of BESIDE) await symlink(join(PROJECT, name), join(unfinished, name))
    const script = ["--import", "tsx", "scripts/build.ts", join(unfinished, "dist")]
    await promisify(execFile)(process.execPath, script, { cwd: PROJECT })
    await rename(unfinished, program)
  }
  const until = Date.now() + BUILD_LIMIT_MS
  while (!existsSync(program)) {
    if (Date.now() > until) throw new Error("The program was not built: see the first failure of a cli test.")
    await setTimeout(POLL_MS)
  }
  return join(program, "dist/main.js")
}

let building: Promise<string> | undefined

const built = (): Promise<string> => {
  building ??= build()
  return building
}

// Built before the tests of an importing file, so that no test's own time includes it.
beforeAll(() => built().then(() => undefined), BUILD_LIMIT_MS)

export type Environment = Readonly<Record<string, string>>

export interface Ended {
  /** Exit code as a shell reports it: 128 plus the signal's number for a process that a signal killed. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly process: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  /** Waits until this text was printed to stdout or stderr. Fails if the process ends before. */
  readonly printed: (text: string) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  /** Sends a signal, and waits for the end. */
  readonly stop: (signal: "SIGINT" | "SIGTERM" | "SIGKILL") => Effect.Effect<Ended>
}

/**
 * Open files for stdout and stderr in place of the test's pipes, and the user and group that the program runs
 * as.
 */
export interface Outputs {
  readonly stdout?: number
  readonly stderr?: number
  readonly uid?: number
}

export interface OnTerminal extends Running {
  /** Sends key presses. Control characters act as on a keyboard. */
  readonly type: (keys: string) => Effect.Effect<void>
}

export interface Cli {
  /** Path of the program's file, for `node`. */
  readonly main: string
  /** Working directory, where `.env` is read and data directories are created. */
  readonly directory: string
  /** Runs the program to its end. */
  readonly run: (...given: Parameters<Cli["start"]>) => Effect.Effect<Ended>
  /** Starts the program. It is killed with the scope if it still runs. */
  readonly start: (
    args: ReadonlyArray<string>,
    environment?: Environment,
    outputs?: Outputs,
  ) => Effect.Effect<Running, never, Scope.Scope>
  /**
   * Starts the program on a terminal: all output is in `stdout`, and signals go to the program. Needs
   * `script`.
   */
  readonly onTerminal: (...given: Parameters<Cli["start"]>) => Effect.Effect<OnTerminal, never, Scope.Scope>
}

/**
 * True if this machine has the `script` of util-linux, which creates terminals. Other versions have other
 * options.
 */
export const hasTerminals =
  process.platform === "linux" && spawnSync("script", ["--version"]).stdout?.includes("util-linux")

/** Prepares the program with a directory of its own. It inherits only the search path from the environment. */
export const cli = (environment: Environment = {}): Effect.Effect<Cli, never, Scope.Scope> =>
  Effect.gen(function* () {
    const main = yield* Effect.promise(built)
    const directory = yield* temporaryDirectory
    const started = (
      command: ReadonlyArray<string>,
      more: Environment,
      { stdin, stdout, stderr, uid }: Outputs & { readonly stdin?: "pipe" } = {},
    ) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          running(
            spawn(command[0]!, command.slice(1), {
              cwd: directory,
              env: { PATH: process.env.PATH, HOME: directory, ...environment, ...more },
              stdio: [stdin ?? "ignore", stdout ?? "pipe", stderr ?? "pipe"],
              ...(uid === undefined ? {} : { uid, gid: uid }),
            }),
          ),
        ),
        // Interrupted first, so that it stops everything it keeps up.
        child =>
          Effect.sync(() => globalThis.setTimeout(() => child.process.kill("SIGKILL"), STOP_LIMIT_MS)).pipe(
            Effect.flatMap(timer =>
              Effect.zipRight(
                child.stop("SIGTERM"),
                Effect.sync(() => clearTimeout(timer)),
              ),
            ),
          ),
      )
    const start: Cli["start"] = (args, more = {}, outputs) =>
      started([process.execPath, main, ...args], more, outputs)
    const onTerminal: Cli["onTerminal"] = (args, more = {}) =>
      Effect.gen(function* () {
        const command = [process.execPath, main, ...args].map(word => `'${word}'`).join(" ")
        const terminal = [
          "script",
          "-qec",
          `echo "pid=$$"; stty cols 100 rows 30; exec ${command}`,
          "/dev/null",
        ]
        const whole = yield* started(
          terminal,
          { TERM: "xterm-256color", SHELL: "/bin/sh", ...more },
          { stdin: "pipe" },
        )
        yield* whole.printed("pid=")
        // Read to the end of the line, because a number may arrive in two parts.
        yield* whole.printed("\n")
        const pid = Number(/pid=(\d+)/.exec(whole.stdout())![1])
        const stop: Running["stop"] = signal =>
          Effect.zipRight(
            Effect.sync(() => process.kill(pid, signal)),
            whole.ended,
          )
        const type: OnTerminal["type"] = keys => Effect.sync(() => void whole.process.stdin!.write(keys))
        return { ...whole, stop, type }
      })
    const run: Cli["run"] = (...given) => Effect.scoped(Effect.flatMap(start(...given), ({ ended }) => ended))
    return { main, directory, start, onTerminal, run }
  })

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }

const running = (child: ChildProcess): Running => {
  let stdout = ""
  let stderr = ""
  let isOver = false
  child.stdout?.setEncoding("utf8").on("data", text => {
    stdout += text
  })
  child.stderr?.setEncoding("utf8").on("data", text => {
    stderr += text
  })
  const over = once(child, "close").then(([code, signal]): Ended => {
    isOver = true
    return { code: code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 0), stdout, stderr }
  })
  return {
    process: child,
    stdout: () => stdout,
    stderr: () => stderr,
    printed: text =>
      Effect.promise(async () => {
        const until = Date.now() + LIMIT_MS
        while (!stdout.includes(text) && !stderr.includes(text)) {
          if (isOver || Date.now() > until) throw new Error(`Never printed: ${text}\n${stdout}\n${stderr}`)
          await setTimeout(POLL_MS)
        }
      }),
    ended: Effect.promise(() => over),
    stop: signal =>
      Effect.promise(() => {
        if (!isOver) child.kill(signal)
        return over
      }),
  }
}

/** Settings that make the program read a sandbox as fast as it answers. */
export const sandboxEnvironment = ({ url, token }: Pick<Sandbox, "url" | "token">): Environment => ({
  PAYCOMBAT_BASE_URL: url,
  PAYCOMBAT_TOKEN: token,
  PAYCOMBAT_RATE_PER_SECOND: "10000",
})

export const databaseEnvironment = (ownerUrl: Redacted.Redacted): Environment => ({
  DATABASE_URL: Redacted.value(ownerUrl),
})

/** Returns the non-empty lines of a text. */
export const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").filter(line => line !== "")

/** Log lines that appear only if work takes long. A slow machine has more of them. */
const STILL_AT =
  /^\S+Z INFO (.+: ([\d,]+ rows, )?\d+ s|Adding up .+\.|the embedded Postgres is starting: .+)$/

/** Returns the other lines that a command prints about itself. */
export const saidIn = (stderr: string): ReadonlyArray<string> =>
  linesOf(stderr).filter(line => !STILL_AT.test(line))
