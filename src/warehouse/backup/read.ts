import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { createGunzip } from "node:zlib"
import { Effect, Option } from "effect"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import type { KeptTombstone } from "../maintain/eraseAgain.ts"
import { ANOTHER_BACKUP, backupError } from "./backup.ts"
import {
  decodeHeader,
  decodeTableOrTrailer,
  type Header,
  headerOf,
  linesOf,
  type TableLine,
  type Trailer,
} from "./file.ts"

/** Reads a backup from its header to its checksum. */

const ARRAY_START = 0x5b
const BAD_START = "it does not start like one"

export const damaged = (file: string, reason: string) =>
  new ConfigurationError({
    message: `${file} is not a backup, or damaged: ${reason}. Nothing was restored: ${ANOTHER_BACKUP}.`,
  })

/** Handlers of the parts of a backup, called in the order of the file. */
export interface BackupHandlers {
  readonly header: (header: typeof Header.Type) => Promise<void>
  readonly table: (table: typeof TableLine.Type) => Promise<void>
  readonly row: (line: Buffer) => Promise<void>
  /** Called after the checksum was verified. */
  readonly trailer: (trailer: typeof Trailer.Type) => Promise<void>
}

/** Reads a backup from its header to its checksum. Fails if the checksum is wrong or the end is missing. */
export const walk = async (
  lines: AsyncGenerator<Buffer>,
  file: string,
  parts: BackupHandlers,
): Promise<void> => {
  const checksum = createHash("sha256")
  const first = await lines.next()
  const header = first.done === true ? Option.none() : decodeHeader(first.value.toString("utf8"))
  if (first.done === true || Option.isNone(header)) throw damaged(file, BAD_START)
  const addToChecksum = (line: Buffer) => checksum.update(line).update("\n")
  addToChecksum(first.value)
  await parts.header(header.value)
  let isInTable = false
  for await (const line of lines) {
    if (line[0] === ARRAY_START && isInTable) {
      addToChecksum(line)
      await parts.row(line)
      continue
    }
    const part = decodeTableOrTrailer(line.toString("utf8"))
    if (Option.isNone(part)) throw damaged(file, "a line is neither a row nor a table")
    if ("sha256" in part.value) {
      const rest = await lines.next()
      const isWhole = rest.done === true && part.value.sha256 === checksum.digest("hex")
      if (!isWhole) throw damaged(file, "its checksum is wrong")
      return parts.trailer(part.value)
    }
    addToChecksum(line)
    isInTable = true
    await parts.table(part.value)
  }
  throw damaged(file, "its end is missing")
}

/** Refuses a file that cannot be read, or does not start like a backup. */
export const checkBackup = (file: string): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async () => {
      if (Option.isNone(await headerOf(file))) throw damaged(file, BAD_START)
    },
    catch: error => backupError(error, `restore ${file}`),
  })

/** Reads the tombstones in a backup. Refuses a file with a wrong checksum. */
export const tombstonesOf = (
  file: string,
): Effect.Effect<ReadonlyArray<KeptTombstone>, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: signal =>
      pipeline(
        createReadStream(file),
        createGunzip(),
        async (chunks: AsyncIterable<Buffer>) => {
          const tombstones: Array<KeptTombstone> = []
          let columns: ReadonlyArray<string> | undefined
          await walk(linesOf(chunks), file, {
            header: async () => undefined,
            table: async part => {
              columns = part.table === "sync.erasures" ? part.columns : undefined
            },
            row: async line => {
              if (columns === undefined) return
              const values = JSON.parse(line.toString("utf8")) as ReadonlyArray<string>
              const value = (name: string) => values[columns!.indexOf(name)] ?? ""
              tombstones.push({
                account: value("account"),
                stream: value("stream"),
                idHash: value("id_hash"),
                erasedAt: value("erased_at"),
              })
            },
            trailer: async () => undefined,
          })
          return tombstones
        },
        { signal },
      ),
    catch: error => backupError(error, `read the erasures in ${file}`),
  })
