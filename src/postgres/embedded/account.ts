import { stat } from "node:fs/promises"
import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { USE_DATABASE_URL } from "./failure.ts"
import { type Account, run } from "./process.ts"

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
