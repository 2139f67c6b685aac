import { spawn } from "node:child_process"
import { Effect } from "effect"

/** The operating-system account that Postgres runs as, when it is not the one that runs this process. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** How a program ended: `exitCode` is null when it could not be started at all, with the reason in `error`. */
export interface Finished {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  readonly error: NodeJS.ErrnoException | undefined
}

/** What is kept of a program's output. Only its last words matter, and a loop of errors must not fill memory. */
const OUTPUT_LIMIT_CHARS = 64_000

/**
 * The whole environment of Postgres' programs. Not ours: a `PGPORT` or `PGDATA` would steer them, and a token
 * in the environment of a daemon is there for whoever may read `/proc`.
 */
export const programEnvironment = (): NodeJS.ProcessEnv => {
  const kept = ["PATH", "TMPDIR", "SystemRoot", "windir", "TEMP", "TMP"]
  return { ...Object.fromEntries(kept.map(name => [name, process.env[name]])), LC_ALL: "C", TZ: "UTC" }
}

export const asAccount = (account: Account | undefined) =>
  account === undefined ? {} : { uid: account.uid, gid: account.gid }

/** Runs a program to its end, never fails, and ends it when interrupted. `input` goes to its standard input. */
export const run = (
  program: string,
  args: ReadonlyArray<string>,
  options: { readonly account?: Account | undefined; readonly input?: string } = {},
): Effect.Effect<Finished> =>
  Effect.async(resume => {
    const tail = (text: string, chunk: string) => (text + chunk).slice(-OUTPUT_LIMIT_CHARS)
    let stdout = ""
    let stderr = ""
    const finish = (exitCode: number | null, error?: NodeJS.ErrnoException) =>
      resume(Effect.succeed({ exitCode, stdout, stderr, error }))
    const child = spawn(program, args, {
      ...asAccount(options.account),
      cwd: "/",
      env: programEnvironment(),
      windowsHide: true,
    })
    child.stdout.setEncoding("utf8").on("data", chunk => {
      stdout = tail(stdout, chunk)
    })
    child.stderr.setEncoding("utf8").on("data", chunk => {
      stderr = tail(stderr, chunk)
    })
    child.on("error", error => finish(null, error))
    child.on("close", exitCode => finish(exitCode))
    // A program that ends before it has read its input is told by its exit code, not by this pipe.
    child.stdin.on("error", () => undefined)
    child.stdin.end(options.input ?? "")
    return Effect.async<void>(ended => {
      child.once("close", () => ended(Effect.void))
      if (!child.kill()) ended(Effect.void)
    })
  })

/** The line of a Postgres program's output that says what went wrong, in one line and without its time stamp. */
export const complaint = (finished: Finished): string => {
  if (finished.error !== undefined) return finished.error.code ?? finished.error.message
  return complaintOf(finished.stderr) ?? `exit code ${finished.exitCode}`
}

export const complaintOf = (output: string): string | undefined => {
  const lines = output
    .split("\n")
    .map(line => line.trim())
    .filter(line => line !== "")
  const said = lines.findLast(line => /\b(FATAL|PANIC|error|ERROR):/.test(line)) ?? lines.at(-1)
  return said?.replace(/^.*?\b(FATAL|PANIC|ERROR): +/, "")
}
