import { randomBytes } from "node:crypto"
import type { List, ReportData, Row } from "../warehouse/report/types.ts"

/** The report for programs: one JSON document with every row. */

const isCut = (value: unknown): value is List => {
  const { rows, total, statement } = (value ?? {}) as Partial<List>
  return Array.isArray(rows) && typeof statement === "string" && total !== undefined && total > rows.length
}

async function* listed(batches: AsyncIterable<ReadonlyArray<Row>>) {
  let between = "[\n"
  for await (const batch of batches) {
    if (batch.length === 0) continue
    yield between + batch.map(row => JSON.stringify(row)).join(",\n")
    between = ",\n"
  }
  // None at all, where there were some: the document says how many there should be.
  yield between === "[\n" ? "[]" : "\n]"
}

/**
 * Writes a report as JSON, part by part. What is cut in `data` is whole here: `wholeOf` answers with all rows of a
 * list, and no more than one of its batches is kept in memory. `watch` is told how many rows
 * came so far.
 */
export async function* documentText(
  data: ReportData,
  wholeOf: (list: List) => AsyncIterable<ReadonlyArray<Row>>,
  watch: (rows: number) => void = () => undefined,
): AsyncGenerator<string> {
  const cut: Array<List> = []
  // Of bytes that nobody could have sent.
  const gap = randomBytes(16).toString("hex")
  const text = JSON.stringify(
    data,
    (_, value: unknown) => {
      if (!isCut(value)) return value
      cut.push(value)
      return { ...value, rows: gap }
    },
    2,
  )
  let rows = 0
  const seen = async function* (batches: AsyncIterable<ReadonlyArray<Row>>) {
    for await (const batch of batches) {
      rows += batch.length
      watch(rows)
      yield batch
    }
  }
  const [first, ...others] = text.split(`"${gap}"`)
  yield first!
  for (const [i, part] of others.entries()) {
    yield* listed(seen(wholeOf(cut[i]!)))
    yield part
  }
  yield "\n"
}
