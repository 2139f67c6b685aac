import { spawn } from "node:child_process"
import { Effect } from "effect"

/** Operating-system account that Postgres runs as, if it is not this process' account. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** Result of a program. `exitCode` is null if it could not be started; `error` has the reason. */
export interface Finished {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  readonly error: NodeJS.ErrnoException | undefined
}

/** Most characters that are passed on of a program's output. Only the end matters, and a loop of errors must not fill memory. */
const OUTPUT_LIMIT_CHARS = 64_000

/** Environment of Postgres' programs, without `PGPORT`, `PGDATA`, and a token that could be read in `/proc`. */
export const programEnvironment = (): NodeJS.ProcessEnv => {
  const passedOn = ["PATH", "TMPDIR", "SystemRoot", "windir", "TEMP", "TMP"]
  return { ...Object.fromEntries(passedOn.map(name => [name, process.env[name]])), LC_ALL: "C", TZ: "UTC" }
}

export const asAccount = (account: Account | undefined) =>
  account === undefined ? {} : { uid: account.uid, gid: account.gid }

/** Runs a program to its end, with `input`. Never fails; terminates the program on interruption. */
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
    // If a program ends before it has read its input, its exit code tells the failure, not this pipe.
    child.stdin.on("error", () => undefined)
    child.stdin.end(options.input ?? "")
    return Effect.async<void>(ended => {
      child.once("close", () => ended(Effect.void))
      if (!child.kill()) ended(Effect.void)
    })
  })

/** Returns the line of a Postgres program's output that names the failure, without its time stamp. */
export const complaint = (finished: Finished): string => {
  if (finished.error !== undefined) return finished.error.code ?? finished.error.message
  return complaintOf(finished.stderr) ?? `exit code ${finished.exitCode}`
}

export const complaintOf = (output: string): string | undefined => {
  const lines = output
    .split("\n")
    .map(line => line.trim())
    .filter(line => line !== "")
  const line = lines.findLast(line => /\b(FATAL|PANIC|error|ERROR):/.test(line)) ?? lines.at(-1)
  return line?.replace(/^.*?\b(FATAL|PANIC|ERROR): +/, "")
}
