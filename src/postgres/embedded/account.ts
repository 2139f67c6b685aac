import { spawn } from "node:child_process"
import { stat } from "node:fs/promises"
import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { USE_DATABASE_URL } from "./failure.ts"

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

/** Directory for root's files that an unprivileged account must enter, if the data directory is closed to it. */
export const SYSTEM_DIRECTORY = "/var/lib/paycombat-sync"

/** Unprivileged accounts that usually exist, the likelier first. None is ever created or changed. */
const CANDIDATES = ["postgres", "nobody"]

export const isRoot = (): boolean => process.getuid?.() === 0

/** Chooses the account to drop to: Postgres refuses to run as root. An existing cluster runs as its owner. */
export const accountFor = (data: string): Effect.Effect<Account | undefined, ConfigurationError> =>
  Effect.gen(function* () {
    if (!isRoot()) return undefined
    const owner = yield* Effect.promise(() => stat(data).catch(() => undefined))
    if (owner !== undefined && owner.uid !== 0)
      return { name: `user ${owner.uid}`, uid: owner.uid, gid: owner.gid }
    for (const name of CANDIDATES) {
      const [uid, gid] = yield* Effect.all([idOf("-u", name), idOf("-g", name)])
      if (uid !== undefined && gid !== undefined && uid !== 0) return { name, uid, gid }
    }
    return yield* new ConfigurationError({
      message: `Postgres does not run as root, and this machine has no account ${CANDIDATES.join(" or ")} to run it as. Run this as another user, or set DATABASE_URL.`,
    })
  })

/** Reads an id with `id`, not from /etc/passwd: accounts may come from a directory service, as on macOS. */
const idOf = (flag: "-u" | "-g", name: string): Effect.Effect<number | undefined> =>
  Effect.map(run("id", [flag, name]), ({ exitCode, stdout }) =>
    exitCode === 0 && /^\d+$/.test(stdout.trim()) ? Number(stdout.trim()) : undefined,
  )

/** Tests access as the account itself, because access lists and mount options matter as well as mode bits. */
export const canEnter = (account: Account, directory: string): Effect.Effect<boolean, ConfigurationError> =>
  Effect.gen(function* () {
    const finished = yield* run("/bin/sh", ["-c", 'cd -- "$0"', directory], { account })
    if (finished.error !== undefined)
      return yield* new ConfigurationError({
        message: `Postgres does not run as root, and this process may not become the account ${account.name} (${finished.error.code}). Run this as another user. ${USE_DATABASE_URL}`,
      })
    return finished.exitCode === 0
  })
