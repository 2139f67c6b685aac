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

/** Reads a backup from its beginning to its checksum. */

const ARRAY_START = 0x5b
const BAD_BEGINNING = "it does not begin like one"

export const damaged = (file: string, why: string) =>
  new ConfigurationError({
    message: `${file} is not a backup, or damaged: ${why}. Nothing was restored: ${ANOTHER_BACKUP}.`,
  })

/** What is done with the parts of a backup, in the order in which they come. */
export interface Parts {
  readonly header: (header: typeof Header.Type) => Promise<void>
  readonly table: (table: typeof TableLine.Type) => Promise<void>
  readonly row: (line: Buffer) => Promise<void>
  /** Called when the checksum was found right. */
  readonly trailer: (trailer: typeof Trailer.Type) => Promise<void>
}

/** Reads a backup from its header to its checksum; fails where that is wrong, or its end is missing. */
export const walk = async (lines: AsyncGenerator<Buffer>, file: string, parts: Parts): Promise<void> => {
  const checksum = createHash("sha256")
  const first = await lines.next()
  const header = first.done === true ? Option.none() : decodeHeader(first.value.toString("utf8"))
  if (first.done === true || Option.isNone(header)) throw damaged(file, BAD_BEGINNING)
  const summed = (line: Buffer) => checksum.update(line).update("\n")
  summed(first.value)
  await parts.header(header.value)
  let isInTable = false
  for await (const line of lines) {
    if (line[0] === ARRAY_START && isInTable) {
      summed(line)
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
    summed(line)
    isInTable = true
    await parts.table(part.value)
  }
  throw damaged(file, "its end is missing")
}

/** Refuses a file that cannot be read, or that does not begin as a backup does. */
export const checkBackup = (file: string): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async () => {
      if (Option.isNone(await headerOf(file))) throw damaged(file, BAD_BEGINNING)
    },
    catch: error => backupError(error, `restore ${file}`),
  })

/** The tombstones in a backup; refuses a file whose checksum is wrong. */
export const tombstonesOf = (
  file: string,
): Effect.Effect<ReadonlyArray<KeptTombstone>, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: signal =>
      pipeline(
        createReadStream(file),
        createGunzip(),
        async (chunks: AsyncIterable<Buffer>) => {
          const found: Array<KeptTombstone> = []
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
              found.push({
                account: value("account"),
                stream: value("stream"),
                idHash: value("id_hash"),
                erasedAt: value("erased_at"),
              })
            },
            trailer: async () => undefined,
          })
          return found
        },
        { signal },
      ),
    catch: error => backupError(error, `read the erasures in ${file}`),
  })
