import { createReadStream } from "node:fs"
import { createGunzip } from "node:zlib"
import { Option, Schema } from "effect"

/**
 * A backup is one gzip file of lines, each a JSON value: a header; then for each table its name and columns,
 * and an array of texts (or nulls) for each row; at the end counts, and the checksum of every line before.
 * Rows are arrays and all else are objects. Text, so that any Postgres reads what any other wrote, and
 * `zcat FILE | head` shows what it holds.
 */
export const FORMAT = "paycombat-sync backup 1"

export const Header = Schema.Struct({
  format: Schema.Literal(FORMAT),
  program: Schema.String,
  takenAt: Schema.String,
  migrations: Schema.Array(Schema.String),
})

export const TableLine = Schema.Struct({ table: Schema.String, columns: Schema.Array(Schema.String) })

export const Trailer = Schema.Struct({
  rows: Schema.Record({ key: Schema.String, value: Schema.Number }),
  sequences: Schema.Record({ key: Schema.String, value: Schema.String }),
  sha256: Schema.String,
})

export const decodeHeader = Schema.decodeUnknownOption(Schema.parseJson(Header))
export const decodeTableOrTrailer = Schema.decodeUnknownOption(
  Schema.parseJson(Schema.Union(TableLine, Trailer)),
)

/** A row holds one record: what is longer is no backup. */
const LINE_LIMIT_BYTES = 256_000_000
const NEWLINE = 0x0a

/** The lines of a byte stream, without their ends. A last line without an end was cut off and is not one. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Array<Buffer> = []
  let length = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end)
      yield parts.length === 0 ? rest : Buffer.concat([...parts, rest])
      parts = []
      length = 0
      start = end + 1
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start))
      length += chunk.length - start
    }
    if (length > LINE_LIMIT_BYTES) return
  }
}

/** The header of a file, or none where it does not begin as a backup does. Fails where it cannot be read or is no gzip. */
export const headerOf = async (file: string): Promise<Option.Option<typeof Header.Type>> => {
  const source = createReadStream(file)
  const text = createGunzip()
  // `pipe` passes no error on, and `pipeline` waits for the rest of the file.
  source.once("error", error => text.destroy(error)).pipe(text)
  try {
    const first = await linesOf(text).next()
    return first.done === true ? Option.none() : decodeHeader(first.value.toString("utf8"))
  } finally {
    source.destroy()
    text.destroy()
  }
}
