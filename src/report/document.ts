import { randomBytes } from "node:crypto"
import type { List, ReportData, Row } from "../warehouse/report/types.ts"

/** Writes the report for programs: one JSON document with every row. */

const isCut = (value: unknown): value is List => {
  const { rows, total, statement } = (value ?? {}) as Partial<List>
  return Array.isArray(rows) && typeof statement === "string" && total !== undefined && total > rows.length
}

async function* jsonArray(batches: AsyncIterable<ReadonlyArray<Row>>) {
  let between = "[\n"
  for await (const batch of batches) {
    if (batch.length === 0) continue
    yield between + batch.map(row => JSON.stringify(row)).join(",\n")
    between = ",\n"
  }
  // The list may have no row although its total says that it has some. The total then shows what is missing.
  yield between === "[\n" ? "[]" : "\n]"
}

/**
 * Writes a report as JSON, part by part. Lists that are cut in `data` are written in full: `wholeOf` returns all rows
 * of a list in batches, and only one batch is kept in memory. `watch` receives the number of rows written so far.
 */
export async function* documentText(
  data: ReportData,
  wholeOf: (list: List) => AsyncIterable<ReadonlyArray<Row>>,
  watch: (rows: number) => void = () => undefined,
): AsyncGenerator<string> {
  const cut: Array<List> = []
  // A random placeholder that cannot occur in the data.
  const placeholder = randomBytes(16).toString("hex")
  const text = JSON.stringify(
    data,
    (_, value: unknown) => {
      if (!isCut(value)) return value
      cut.push(value)
      return { ...value, rows: placeholder }
    },
    2,
  )
  let rows = 0
  const withCount = async function* (batches: AsyncIterable<ReadonlyArray<Row>>) {
    for await (const batch of batches) {
      rows += batch.length
      watch(rows)
      yield batch
    }
  }
  const [first, ...others] = text.split(`"${placeholder}"`)
  yield first!
  for (const [i, part] of others.entries()) {
    yield* jsonArray(withCount(wholeOf(cut[i]!)))
    yield part
  }
  yield "\n"
}
