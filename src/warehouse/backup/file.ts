import { createReadStream } from "node:fs"
import { createGunzip } from "node:zlib"
import { Option, Schema } from "effect"

/**
 * Format of a backup: one gzip file of lines, each a JSON value. A header comes first; then for each table its name and
 * columns, and one array of texts or nulls per row; at the end the counts and the checksum of all lines before. Rows
 * are arrays, all other lines are objects. The values are text, so that any Postgres reads what any other wrote, and
 * `zcat FILE | head` shows the content.
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

/** Largest line. A row holds one record; a longer line is not from a backup. */
const LINE_LIMIT_BYTES = 256_000_000
const NEWLINE = 0x0a

/** Splits a byte stream into lines without their ends. A last line without an end was truncated and is dropped. */
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

/**
 * Reads the header of a file; none if the file does not start like a backup. Fails if it cannot be read or is not gzip.
 */
export const headerOf = async (file: string): Promise<Option.Option<typeof Header.Type>> => {
  const source = createReadStream(file)
  const text = createGunzip()
  // `pipe` does not forward errors, and `pipeline` would wait for the rest of the file.
  source.once("error", error => text.destroy(error)).pipe(text)
  try {
    const first = await linesOf(text).next()
    return first.done === true ? Option.none() : decodeHeader(first.value.toString("utf8"))
  } finally {
    source.destroy()
    text.destroy()
  }
}
