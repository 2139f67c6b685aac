import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"

/** The built program, as a process of its own. */

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url))
const WATCH_MILLIS = 100
/** Longest part of a process' output that is kept, in characters. */
const SAID_MAX = 4_000

export interface Ended {
  /** As a shell says it: 128 and the signal's number for a process that a signal killed. */
  readonly code: number
  readonly said: string
  /** The most memory that it held; 0 where the system does not tell. */
  readonly memoryMegabytes: number
}

export interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }

const memoryOf = async (pid: number | undefined): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "")
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1_024
}

export const startProgram = (
  args: ReadonlyArray<string>,
  directory: string,
  environment: Readonly<Record<string, string>>,
): Running => {
  if (!existsSync(MAIN)) throw new Error("There is no dist/main.js: run `npm run build` first.")
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, HOME: directory, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let said = ""
  let memoryMegabytes = 0
  const hear = (text: string) => {
    said = (said + text).slice(-SAID_MAX)
  }
  child.stdout.setEncoding("utf8").on("data", hear)
  child.stderr.setEncoding("utf8").on("data", hear)
  const watch = setInterval(() => {
    void memoryOf(child.pid).then(megabytes => {
      memoryMegabytes = Math.max(memoryMegabytes, megabytes)
    })
  }, WATCH_MILLIS)
  const ended = once(child, "close").then(([code, signal]): Ended => {
    clearInterval(watch)
    return { code: code ?? 128 + (SIGNAL_NUMBERS[signal] ?? 0), said, memoryMegabytes }
  })
  return { process: child, ended }
}
