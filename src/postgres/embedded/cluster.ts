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
import { accountFor, canEnter, isRoot, SYSTEM_DIRECTORY } from "./account.ts"
import { codeOf, onFiles, USE_DATABASE_URL } from "./failure.ts"
import { type Account, complaint, run } from "./process.ts"
import { findPrograms, type Programs } from "./programs.ts"
import { bootstrapStatements, HOST_BASED_AUTHENTICATION, tuningFile } from "./settings.ts"
import { newPassword, readState, type State, writeState } from "./state.ts"

/**
 * A cluster on disk, running or not:
 *
 * - `<data directory>/postgres/server.json`, the state; `server.log`; `data/`, Postgres' own files
 * - for root, when the account that Postgres runs as cannot enter there: its files are under
 *   `SYSTEM_DIRECTORY`, and the state says where. Once made, a cluster is found by its state alone.
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
  /** False only where the data is worth nothing. */
  readonly durable: boolean
}

/** Age at which what a killed first use left behind is taken for rubbish. */
const LEFT_BEHIND_MS = 3_600_000

/** Finds the cluster of a data directory, or makes it. Of several processes that make it at once, one wins. */
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
    const known = yield* readState(home)
    const account = yield* accountFor(known === undefined ? home : resolve(home, known.data))
    const programs = yield* findPrograms({
      resolveFrom: options.resolveFrom,
      account,
      roomForCopies: isRoot() ? SYSTEM_DIRECTORY : directory,
    })
    if (known === undefined) yield* create(home, programs, account, options)
    const state = known ?? (yield* readState(home))
    if (state === undefined)
      return yield* new ConfigurationError({
        message: `${home} is in the way: it is not a cluster of ours. Move it.`,
      })
    const data = resolve(home, state.data)
    yield* checkVersion(home, data, programs)
    if (known !== undefined && account !== undefined && !(yield* canEnter(account, data)))
      return yield* new ConfigurationError({
        message: `Postgres runs as ${account.name}, which may not enter ${data}: give it to that account (chown -R), and let others enter (chmod o+x) each directory above it.`,
      })
    const notes = known === undefined ? notesOn(data, account, programs) : []
    return { home, data, state, account, programs, notes }
  })

const notesOn = (data: string, account: Account | undefined, programs: Programs): ReadonlyArray<string> => [
  ...(account === undefined
    ? []
    : [`Running as root: Postgres runs as ${account.name}, its files are in ${data}.`]),
  ...(programs.copiedTo === undefined ? [] : [`The Postgres programs were copied to ${programs.copiedTo}.`]),
]

/** Data files of one major version cannot be read by another. */
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
          message: `The database of ${home} should be in ${data}, but cannot be read there (${codeOf(error)}). Bring it back, or move ${home} away and restore a backup.`,
        }),
    })
    if (Number(made) !== programs.major)
      return yield* new ConfigurationError({
        message: `The database in ${data} was made by Postgres ${made.trim()}, and this version brings Postgres ${programs.major}. With the version used before: \`database backup FILE\`. Then move ${home} away, and \`database restore FILE\` with this one.`,
      })
  })

/**
 * Makes a complete cluster under a temporary name and renames it into place: whoever finds `home` finds all of
 * it. When another process was first, this one's work is removed and the other's is used.
 */
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
        // A program that was just told to end may still be writing: try again.
        const remove = (path: string) => rm(path, { recursive: true, force: true, maxRetries: 5 })
        await remove(unfinished)
        if (lost && !beside) await remove(data)
      }),
  )

const newPasswords = () => ({ ownerPassword: newPassword(), readerPassword: newPassword() })

const makeRoom = (home: string, account: Account | undefined) =>
  Effect.gen(function* () {
    const directory = dirname(home)
    yield* onFiles(`tidy up ${directory}`, () => removeLeftBehind(directory, `${basename(home)}.new-`))
    const beside = account === undefined || (yield* canEnter(account, directory))
    return yield* onFiles(`make a database in ${directory}`, async () => {
      const unfinished = await mkdtemp(`${home}.new-`)
      if (account === undefined) {
        const data = join(unfinished, "data")
        await mkdir(data, { mode: 0o700 })
        return { unfinished, data, beside }
      }
      // The account passes through here, and reads nothing.
      if (beside) await chmod(unfinished, 0o711)
      else await mkdir(SYSTEM_DIRECTORY, { recursive: true, mode: 0o755 })
      const name = `${basename(directory).replace(/^\.+/, "")}-${randomBytes(6).toString("hex")}`
      const data = beside ? join(unfinished, "data") : join(SYSTEM_DIRECTORY, name)
      await mkdir(data, { mode: 0o700 })
      await chown(data, account.uid, account.gid)
      return { unfinished, data, beside }
    })
  })

const removeLeftBehind = async (directory: string, prefix: string): Promise<void> => {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix)) continue
    const path = join(directory, name)
    const made = await stat(path).catch(() => undefined)
    if (made !== undefined && Date.now() - made.mtimeMs > LEFT_BEHIND_MS)
      await rm(path, { recursive: true, force: true })
  }
}

/** False when somebody else's is there already. */
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

/** The same everywhere, whatever locales a machine has: UTF-8, sorted by code point, Unicode-aware upper and lower. */
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
        // Replaced below; until then nobody gets in.
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
    if (finished.exitCode !== 0) return yield* cannotMake(data, complaint(finished))
    yield* onFiles(`configure the database in ${data}`, async () => {
      await appendFile(join(data, "postgresql.conf"), tuningFile())
      await writeFile(join(data, "pg_hba.conf"), HOST_BASED_AUTHENTICATION)
    })
  })

/** Single-user mode: no server, no port, nobody else; the superuser needs no password, and never has one. */
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
    if (finished.exitCode !== 0) return yield* cannotMake(data, complaint(finished))
  })

const cannotMake = (data: string, why: string) =>
  new ConfigurationError({
    message: why.includes("could not look up")
      ? `The embedded Postgres does not run as a user without a name: give user ${process.getuid?.()} an entry in /etc/passwd, or run this as another. ${USE_DATABASE_URL}`
      : `Cannot make the embedded database in ${data}: ${why}. Mend that, or choose another PAYCOMBAT_DATA_DIR. ${USE_DATABASE_URL}`,
  })
