import { randomBytes } from "node:crypto"
import { chown, readFile, rename, stat, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { Effect, Schema } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { isRoot } from "./account.ts"
import { codeOf, onFiles } from "./failure.ts"

/** State of a cluster between runs. Holds passwords: mode 0600, never printed. */
const State = Schema.Struct({
  format: Schema.Literal(1),
  /** Data directory of the cluster: relative to this file if it is beside it, absolute if root keeps it elsewhere. */
  data: Schema.String,
  /** Port of the latest start. The next start tries it first, so that saved connections of BI tools keep working. */
  port: Schema.Number,
  ownerPassword: Schema.String,
  readerPassword: Schema.String,
})
export type State = typeof State.Type

const stateFile = (home: string) => join(home, "server.json")

/** Generates a password of letters and digits only, so that it needs no quoting in SQL, URLs and shells. */
export const newPassword = (): string => randomBytes(24).toString("hex")

export const readState = (home: string): Effect.Effect<State | undefined, ConfigurationError> =>
  Effect.gen(function* () {
    const file = stateFile(home)
    const text = yield* Effect.tryPromise({
      try: () => readFile(file, "utf8"),
      catch: error => codeOf(error),
    }).pipe(
      Effect.catchAll(code => {
        if (code === "ENOENT") return Effect.succeed(undefined)
        const reason =
          code === "EACCES" ? "it belongs to another user; run this as that user, or" : `${code};`
        return new ConfigurationError({
          message: `Cannot read ${file}: ${reason} set PAYCOMBAT_DATA_DIR to another directory.`,
        })
      }),
    )
    if (text === undefined) return undefined
    return yield* Effect.mapError(
      Schema.decodeUnknown(Schema.parseJson(State))(text),
      // The decoder's message would quote the passwords.
      () =>
        new ConfigurationError({
          message: `${file} is damaged or from a newer version: put it back from a copy, or use the version that wrote it.`,
        }),
    )
  })

/** True if the data directory holds a cluster, running or not. Fails if its state cannot be read. */
export const clusterExists = (dataDir: string): Effect.Effect<boolean, ConfigurationError> =>
  Effect.map(readState(join(resolve(dataDir), "postgres")), state => state !== undefined)

/** Replaces the state file as a whole. Keeps the owner of its directory, so that root does not lock that user out. */
export const writeState = (home: string, state: State): Effect.Effect<void, ConfigurationError> =>
  onFiles(`write ${stateFile(home)}`, async () => {
    const unfinished = `${stateFile(home)}.${process.pid}`
    await writeFile(unfinished, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
    if (isRoot()) {
      const { uid, gid } = await stat(home)
      await chown(unfinished, uid, gid)
    }
    await rename(unfinished, stateFile(home))
  })
