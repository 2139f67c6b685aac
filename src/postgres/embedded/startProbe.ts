import { access, chmod, constants, mkdtemp, rm, stat, statfs } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { Effect } from "effect"
import type { ConfigurationError } from "../../core/errors.ts"
import { accountFor } from "./account.ts"
import { onFiles } from "./failure.ts"
import { findPrograms } from "./programs.ts"
import { readState } from "./state.ts"

export interface StartProbe {
  readonly home: string
  readonly major: number
  /** True if the data directory can be written, or created. */
  readonly isWritable: boolean
  readonly freeBytes: number
}

/** Returns the directory if it exists, else the closest existing one above it. */
const closest = async (directory: string): Promise<string> => {
  const info = await stat(directory).catch(() => undefined)
  return info?.isDirectory() || dirname(directory) === directory ? directory : closest(dirname(directory))
}

/** Tests the programs and the free space; undefined if the cluster exists. Creates nothing. Fails if a first use would. */
export const probeStart = (dataDir: string): Effect.Effect<StartProbe | undefined, ConfigurationError> =>
  Effect.gen(function* () {
    const home = join(resolve(dataDir), "postgres")
    if ((yield* readState(home)) !== undefined) return undefined
    const account = yield* accountFor(home)
    const { major } = yield* Effect.acquireUseRelease(
      onFiles("use the directory for temporary files", async () => {
        const directory = await mkdtemp(join(tmpdir(), "paycombat-programs-"))
        // If this process is root, Postgres runs as another account.
        await chmod(directory, 0o755)
        return directory
      }),
      roomForCopies => findPrograms({ resolveFrom: import.meta.url, account, roomForCopies }),
      directory => Effect.promise(() => rm(directory, { recursive: true, force: true })),
    )
    return yield* onFiles(`examine ${resolve(dataDir)}`, async () => {
      const parent = await closest(resolve(dataDir))
      const isWritable = await access(parent, constants.W_OK).then(
        () => true,
        () => false,
      )
      const { bavail, bsize } = await statfs(parent)
      return { home, major, isWritable, freeBytes: bavail * bsize }
    })
  })
