import { randomBytes } from "node:crypto"
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { Effect, Exit } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { type Account, accountFor, canEnter, complaint, isRoot, run, SYSTEM_DIRECTORY } from "./account.ts"
import { codeOf, onFiles, USE_DATABASE_URL } from "./failure.ts"
import { findPrograms, type Programs } from "./programs.ts"
import { bootstrapStatements, HOST_BASED_AUTHENTICATION, tuningFile } from "./settings.ts"
import { newPassword, readState, type State, writeState } from "./state.ts"

/**
 * A cluster on disk, running or not. Its files:
 *
 * - `<data directory>/postgres/server.json`: the state; `server.log`; `data/`: Postgres' own files
 * - if root runs it and Postgres' account cannot enter that directory, the data are under `SYSTEM_DIRECTORY`, and the
 *   state holds their path. An existing cluster is found by its state alone.
 */
export interface Cluster {
  readonly home: string
  readonly data: string
  readonly state: State
  readonly account: Account | undefined
  readonly programs: Programs
  readonly notes: ReadonlyArray<string>
}

export interface ClusterOptions {
  readonly resolveFrom: string
  readonly bootstrap: ReadonlyArray<string>
  /** False only for data that may be lost. */
  readonly durable: boolean
}

/** Age from which the remains of a killed first use are deleted. */
const REMAINS_AGE_MS = 3_600_000

/** Opens the cluster of a data directory, or creates it. If several processes create it at once, one wins. */
export const openCluster = (
  dataDir: string,
  options: ClusterOptions,
): Effect.Effect<Cluster, ConfigurationError> =>
  Effect.gen(function* () {
    const directory = yield* onFiles(`use the data directory ${resolve(dataDir)}`, async () => {
      await mkdir(dataDir, { recursive: true, mode: isRoot() ? 0o755 : 0o700 })
      return realpath(dataDir)
    })
    const home = join(directory, "postgres")
    const existing = yield* readState(home)
    const account = yield* accountFor(existing === undefined ? home : resolve(home, existing.data))
    const programs = yield* findPrograms({
      resolveFrom: options.resolveFrom,
      account,
      roomForCopies: isRoot() ? SYSTEM_DIRECTORY : directory,
    })
    if (existing === undefined) yield* create(home, programs, account, options)
    const state = existing ?? (yield* readState(home))
    if (state === undefined)
      return yield* new ConfigurationError({
        message: `${home} is not a cluster of paycombat-sync: move it away.`,
      })
    const data = resolve(home, state.data)
    yield* checkVersion(home, data, programs)
    if (existing !== undefined && account !== undefined && !(yield* canEnter(account, data)))
      return yield* new ConfigurationError({
        message: `Postgres runs as ${account.name}, which may not enter ${data}: give it to that account (chown -R), and allow others to enter each directory above it (chmod o+x).`,
      })
    const notes = existing === undefined ? notesOn(data, account, programs) : []
    return { home, data, state, account, programs, notes }
  })

const notesOn = (data: string, account: Account | undefined, programs: Programs): ReadonlyArray<string> => [
  ...(account === undefined
    ? []
    : [`Running as root: Postgres runs as ${account.name}, its files are in ${data}.`]),
  ...(programs.copiedTo === undefined ? [] : [`The Postgres programs were copied to ${programs.copiedTo}.`]),
]

const checkVersion = (
  home: string,
  data: string,
  programs: Programs,
): Effect.Effect<void, ConfigurationError> =>
  Effect.gen(function* () {
    const made = yield* Effect.tryPromise({
      try: () => readFile(join(data, "PG_VERSION"), "utf8"),
      catch: error =>
        new ConfigurationError({
          message: `The database of ${home} should be in ${data}, but cannot be read there (${codeOf(error)}). Put it back, or move ${home} away and restore a backup.`,
        }),
    })
    if (Number(made) !== programs.major)
      return yield* new ConfigurationError({
        message: `The database in ${data} was made by Postgres ${made.trim()}, and this version brings Postgres ${programs.major}. With the version used before: \`database backup FILE\`. Then move ${home} away, and \`database restore FILE\` with this one.`,
      })
  })

/** Creates a cluster under a temporary name, and renames it into place. If another process was faster, deletes this one. */
const create = (
  home: string,
  programs: Programs,
  account: Account | undefined,
  options: ClusterOptions,
): Effect.Effect<void, ConfigurationError> =>
  Effect.acquireUseRelease(
    makeRoom(home, account),
    ({ unfinished, data, beside }) =>
      Effect.gen(function* () {
        const state = { format: 1, data: beside ? "data" : data, port: 0, ...newPasswords() } as const
        yield* initialize(data, programs, account, options)
        yield* bootstrap(data, programs, account, [...bootstrapStatements(state), ...options.bootstrap])
        yield* writeState(unfinished, state)
        return yield* Effect.uninterruptible(moveInto(unfinished, home))
      }),
    ({ unfinished, data, beside }, exit) =>
      Effect.promise(async () => {
        const lost = !Exit.isSuccess(exit) || !exit.value
        // A program that was just terminated may still be writing, so deletion is retried.
        const remove = (path: string) => rm(path, { recursive: true, force: true, maxRetries: 5 })
        await remove(unfinished)
        if (lost && !beside) await remove(data)
      }),
  )

const newPasswords = () => ({ ownerPassword: newPassword(), readerPassword: newPassword() })

const makeRoom = (home: string, account: Account | undefined) =>
  Effect.gen(function* () {
    const directory = dirname(home)
    yield* onFiles(`delete old files in ${directory}`, () =>
      removeRemains(directory, `${basename(home)}.new-`),
    )
    const beside = account === undefined || (yield* canEnter(account, directory))
    return yield* onFiles(`make a database in ${directory}`, async () => {
      const unfinished = await mkdtemp(`${home}.new-`)
      if (account === undefined) {
        const data = join(unfinished, "data")
        await mkdir(data, { mode: 0o700 })
        return { unfinished, data, beside }
      }
      // The account may pass through this directory, but not list it.
      if (beside) await chmod(unfinished, 0o711)
      else await mkdir(SYSTEM_DIRECTORY, { recursive: true, mode: 0o755 })
      const name = `${basename(directory).replace(/^\.+/, "")}-${randomBytes(6).toString("hex")}`
      const data = beside ? join(unfinished, "data") : join(SYSTEM_DIRECTORY, name)
      await mkdir(data, { mode: 0o700 })
      await chown(data, account.uid, account.gid)
      return { unfinished, data, beside }
    })
  })

const removeRemains = async (directory: string, prefix: string): Promise<void> => {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix)) continue
    const path = join(directory, name)
    const made = await stat(path).catch(() => undefined)
    if (made !== undefined && Date.now() - made.mtimeMs > REMAINS_AGE_MS)
      await rm(path, { recursive: true, force: true })
  }
}

const moveInto = (unfinished: string, home: string): Effect.Effect<boolean, ConfigurationError> =>
  onFiles(`make ${home}`, () =>
    rename(unfinished, home).then(
      () => true,
      async error => {
        const other = await stat(home).catch(() => undefined)
        if (other === undefined) throw error
        return false
      },
    ),
  )

/** Initializes the data directory alike on every machine: UTF-8, sorted by code point, Unicode-aware case. */
const initialize = (
  data: string,
  programs: Programs,
  account: Account | undefined,
  options: ClusterOptions,
) =>
  Effect.gen(function* () {
    const finished = yield* run(
      programs.initdb,
      [
        `--pgdata=${data}`,
        "--username=postgres",
        // Replaced below. Until then no login is possible.
        "--auth=reject",
        "--encoding=UTF8",
        "--locale=C",
        ...(programs.major >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : []),
        "--data-checksums",
        "--no-instructions",
        ...(options.durable ? [] : ["--no-sync"]),
      ],
      { account },
    )
    if (finished.exitCode !== 0) return yield* creationError(data, complaint(finished))
    yield* onFiles(`configure the database in ${data}`, async () => {
      await appendFile(join(data, "postgresql.conf"), tuningFile())
      await writeFile(join(data, "pg_hba.conf"), HOST_BASED_AUTHENTICATION)
    })
  })

/** Runs statements in single-user mode: no server and no port. The superuser never gets a password. */
const bootstrap = (
  data: string,
  programs: Programs,
  account: Account | undefined,
  statements: ReadonlyArray<string>,
) =>
  Effect.gen(function* () {
    const finished = yield* run(
      programs.postgres,
      ["--single", "-D", data, "-c", "exit_on_error=on", "template1"],
      { account, input: `${statements.join("\n")}\n` },
    )
    if (finished.exitCode !== 0) return yield* creationError(data, complaint(finished))
  })

const creationError = (data: string, reason: string) =>
  new ConfigurationError({
    message: reason.includes("could not look up")
      ? `The embedded Postgres does not run as a user without a name: give user ${process.getuid?.()} an entry in /etc/passwd, or run this as another. ${USE_DATABASE_URL}`
      : `Cannot create the embedded database in ${data}: ${reason}. Correct that, or choose another PAYCOMBAT_DATA_DIR. ${USE_DATABASE_URL}`,
  })
