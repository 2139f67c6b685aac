import { access, chmod, constants, mkdtemp, rm, stat, statfs } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import type { ConfigurationError } from "../../core/errors.ts"
import { accountFor } from "./account.ts"
import { onFiles } from "./failure.ts"
import { findPrograms } from "./programs.ts"
import { readState } from "./state.ts"

/** What a first use of a data directory would find. */
export interface Prospect {
  /** Where the cluster would be. */
  readonly home: string
  /** Postgres' major version. */
  readonly major: number
  /** Whether the data directory can be written, or made. */
  readonly isWritable: boolean
  readonly freeBytes: number
}

/** A directory that is there: the given one, or the closest above it. */
const closest = async (directory: string): Promise<string> => {
  const found = await stat(directory).catch(() => undefined)
  return found?.isDirectory() || dirname(directory) === directory ? directory : closest(dirname(directory))
}

/**
 * Whether the programs run on this machine, and whether there is room; undefined where the cluster is there already.
 * Makes nothing in the data directory. Fails where a first use would fail.
 */
export const prospectOf = (dataDir: string): Effect.Effect<Prospect | undefined, ConfigurationError> =>
  Effect.gen(function* () {
    const home = join(resolve(dataDir), "postgres")
    if ((yield* readState(home)) !== undefined) return undefined
    const account = yield* accountFor(home)
    const { major } = yield* Effect.acquireUseRelease(
      onFiles("use the directory for temporary files", async () => {
        const directory = await mkdtemp(join(tmpdir(), "paycombat-programs-"))
        // Postgres runs as another account where this is root.
        await chmod(directory, 0o755)
        return directory
      }),
      roomForCopies => findPrograms({ resolveFrom: import.meta.url, account, roomForCopies }),
      directory => Effect.promise(() => rm(directory, { recursive: true, force: true })),
    )
    return yield* onFiles(`look at ${resolve(dataDir)}`, async () => {
      const parent = await closest(resolve(dataDir))
      const isWritable = await access(parent, constants.W_OK).then(
        () => true,
        () => false,
      )
      const { bavail, bsize } = await statfs(parent)
      return { home, major, isWritable, freeBytes: bavail * bsize }
    })
  })
