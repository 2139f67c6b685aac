import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import fc from "fast-check"
import postgres from "postgres"
import { csvHead, csvRows } from "../src/cli/terminal/csv.ts"
import { jsonText } from "../src/cli/terminal/jsonRows.ts"
import { visible } from "../src/cli/terminal/visible.ts"
import { runQuery } from "../src/warehouse/read/query.ts"
import { fuzz, TEST_MILLIS } from "./support/fuzz.ts"
import { databaseForFile } from "./support/postgres.ts"
import { MIGRATED } from "./support/warehouse.ts"

const db = databaseForFile({ template: MIGRATED })

const ask = (statement: string) => Effect.runPromise(runQuery(db.readerUrl, statement))

const csvOf = async (statement: string): Promise<string> => {
  const { columns, types, rows } = await ask(statement)
  return csvHead(columns) + csvRows(rows, types)
}

const jsonOf = async (statement: string): Promise<unknown> => {
  const text = [...jsonText(await ask(statement))].join("")
  return JSON.parse(text)
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Text with every character that CSV, arrays, JSON or spreadsheets treat specially. */
const words = fc.oneof(
  fc.string({
    unit: fc.constantFrom(..."aZ09 ,;\"'\\.{}=+-@\n\r\t\u001b\u202e\u2028\u0085＝＋é😀"),
    maxLength: 8,
  }),
  fc.constantFrom("", "\\.", "NULL", "null", "-5.20", "-5", "+1+1", "-1+1", "@SUM(1)", "\n=1", "ab   "),
)

interface Cell {
  /** SQL expression of the value. */
  readonly sql: string
  /** The value as `--json` must print it. */
  readonly json: unknown
}

interface Kind {
  readonly isText: boolean
  readonly type: string
  readonly cells: fc.Arbitrary<Cell>
}

const kind = <A>(
  type: string,
  values: fc.Arbitrary<A>,
  sql: (value: A) => string,
  json: (value: A) => unknown = value => value,
  isText = false,
): Kind => ({ type, isText, cells: values.map(value => ({ sql: sql(value), json: json(value) })) })

const listed = (elements: ReadonlyArray<string | null>): string =>
  `ARRAY[${elements.map(text => (text === null ? "NULL" : literal(text))).join(",")}]::text[]`

const bigint = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

const exact = (n: bigint): unknown => (Number.isSafeInteger(Number(n)) ? Number(n) : String(n))

const KINDS: ReadonlyArray<Kind> = [
  kind("text", words, literal, text => text, true),
  kind("varchar", words, literal, text => text, true),
  kind("boolean", fc.boolean(), String),
  kind("bigint", bigint, n => literal(String(n)), exact),
  kind("integer", fc.integer(), n => literal(String(n))),
  kind(
    "numeric",
    bigint,
    n => literal(`${n}.10`),
    n => `${n}.10`,
  ),
  kind("float8", fc.double({ noNaN: true, noDefaultInfinity: true }), n => literal(String(n))),
  kind("date", fc.constantFrom("2026-01-31", "0001-01-01"), literal),
  kind("timestamptz", fc.constantFrom("2026-01-31 23:59:59.123456+00"), literal),
  kind("interval", fc.constantFrom("-1 days", "00:00:01"), literal),
  kind("bytea", fc.constantFrom("\\x00ff", "\\x"), literal),
  kind("uuid", fc.constantFrom("00000000-0000-0000-0000-000000000001"), literal),
  kind(
    "jsonb",
    fc
      .jsonValue({ maxDepth: 2 })
      .map(value => JSON.parse(JSON.stringify(value).replaceAll("\\u0000", "")) as unknown),
    value => literal(JSON.stringify(value)),
  ),
  kind("text[]", fc.array(fc.option(words), { maxLength: 4 }), listed),
  kind(
    "bigint[]",
    fc.array(bigint, { maxLength: 3 }),
    ns => literal(`{${ns.join(",")}}`),
    ns => ns.map(exact),
  ),
  kind("boolean[]", fc.array(fc.boolean(), { maxLength: 3 }), bs => literal(`{${bs.join(",")}}`)),
  kind(
    "text[]",
    fc.array(fc.tuple(fc.option(words), words), { minLength: 1, maxLength: 3 }),
    rows => `ARRAY[${rows.map(listed).join(",")}]`,
  ),
]

const NULL: Cell = { sql: "NULL", json: null }

interface Asked {
  /** For each column: true if it holds text that may start a formula. */
  readonly isText: ReadonlyArray<boolean>
  readonly rows: ReadonlyArray<ReadonlyArray<Cell>>
  readonly statement: string
}

const asked: fc.Arbitrary<Asked> = fc
  .array(fc.constantFrom(...KINDS), { minLength: 1, maxLength: 4 })
  .chain(kinds =>
    fc
      .array(
        fc.tuple(...kinds.map(({ cells }) => fc.oneof({ weight: 3, arbitrary: cells }, fc.constant(NULL)))),
        {
          maxLength: 4,
        },
      )
      .map(rows => {
        const columns = kinds.map(({ type }, i) => `NULL::${type} AS c${i}`).join(", ")
        const values = rows.map(
          (row, at) =>
            ` UNION ALL SELECT ${at}, ${row.map(({ sql }, i) => `(${sql})::${kinds[i]!.type}`).join(", ")}`,
        )
        // Two columns with the same name, and names that need quotes.
        const names = kinds
          .map((_, i) => `c${i} AS ${["same", "same", '"a, ""b"""', '"=name"'][i]}`)
          .join(", ")
        const statement = `SELECT ${names} FROM (SELECT -1 AS at, ${columns}${values.join("")}) AS r WHERE at >= 0 ORDER BY at`
        return { isText: kinds.map(({ isText }) => isText), rows, statement }
      }),
  )

/** Parses the cells of Postgres' own COPY. With FORCE_QUOTE, text is quoted and null is not. */
const copied = async (statement: string): Promise<ReadonlyArray<ReadonlyArray<string | null>>> => {
  const sql = postgres(Redacted.value(db.ownerUrl), { max: 1, connection: { TimeZone: "UTC" } })
  try {
    const parts: Array<Buffer> = []
    const source = await sql
      .unsafe(`COPY (${statement}) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)`)
      .readable()
    for await (const part of source) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString("utf8")
    const rows: Array<Array<string | null>> = [[]]
    for (let at = 0; at < text.length; ) {
      let value: string | null = null
      if (text[at] === '"') {
        const found = /"((?:[^"]|"")*)"/y
        found.lastIndex = at
        value = found.exec(text)![1]!.replaceAll('""', '"')
        at = found.lastIndex
      }
      // The header is quoted only if it needs to be.
      else while (text[at] !== "," && text[at] !== "\n") value = (value ?? "") + text[at++]
      rows.at(-1)!.push(value)
      if (text[at++] === "\n") rows.push([])
    }
    return rows.slice(0, -1)
  } finally {
    await sql.end()
  }
}

/**
 * Prints CSV like `csv_print_field` and `print_csv_text` of psql: quotes only if needed, nothing for null, LF at the
 * end.
 */
const asPsql = (rows: ReadonlyArray<ReadonlyArray<string | null>>): string =>
  rows
    .map(row => {
      const cells = row.map(value => {
        const text = value ?? ""
        const isPlain = text !== "\\." && Array.from(text).every(c => !',"\r\n'.includes(c))
        return isPlain ? text : `"${Array.from(text, c => (c === '"' ? '""' : c)).join("")}"`
      })
      return `${cells.join(",")}\n`
    })
    .join("")

const STARTS = [..."=+-@\t\r\n＝＋－＠"]

const defused = (text: string | null): string | null =>
  text !== null && STARTS.includes(text[0]!) && !(text[0] === "-" && /^[\d.]+$/.test(text.slice(1)))
    ? `'${text}`
    : text

describe("an answer as CSV", () => {
  it("equals the output of psql --csv, except for text that starts a formula", () =>
    fc.assert(
      fc.asyncProperty(asked, async ({ statement, isText }) => {
        const [head, ...rows] = await copied(statement)
        const safe = rows.map(row => row.map((text, i) => (isText[i] ? defused(text) : text)))
        expect(await csvOf(statement)).toBe(asPsql([head!, ...safe]))
      }),
      fuzz(40, TEST_MILLIS),
    ))

  it.each([
    ["last rows that are null", "VALUES ('a'), (NULL), (NULL)", "column1\na\n\n\n"],
    ["spaces at the end", "SELECT 'ab   ' AS x", "x\nab   \n"],
    ["spaces of a char(n)", "SELECT 'ab'::char(5) AS x", "x\nab   \n"],
    ["null and empty text alike", "SELECT NULL AS x, '' AS y", "x,y\n,\n"],
    ["no row", "SELECT 1 AS x WHERE false", "x\n"],
    ["a text that ends a COPY", "SELECT E'\\\\.' AS x", 'x\n"\\."\n'],
    ["one name twice", "SELECT 1 AS n, 2 AS n", "n,n\n1,2\n"],
    [
      "a formula",
      "SELECT '=cmd' AS a, '@SUM(1)' AS b, '+1+1' AS c, '-1+1' AS d",
      "a,b,c,d\n'=cmd,'@SUM(1),'+1+1,'-1+1\n",
    ],
    ["a formula behind a line break", "SELECT E'\\n=1' AS a", `a\n"'\n=1"\n`],
    ["a full-width formula", "SELECT '＝1' AS a, '－1' AS b", "a,b\n'＝1,'－1\n"],
    [
      "unchanged numbers",
      "SELECT '-5.20' AS a, -5 AS b, -5.20 AS c, '-1 days'::interval AS d",
      "a,b,c,d\n-5.20,-5,-5.20,-1 days\n",
    ],
    [
      "names of types and domains",
      "SELECT '=a'::name AS a, '=b'::information_schema.sql_identifier AS b",
      "a,b\n'=a,'=b\n",
    ],
  ])("keeps %s", async (_, statement, expected) => {
    expect(await csvOf(statement)).toBe(expected)
  })
})

describe("an answer as JSON", () => {
  it("keeps every column, type and digit", () =>
    fc.assert(
      fc.asyncProperty(asked, async ({ statement, rows }) => {
        const keys = ["same", "same_2", 'a, "b"', "=name"]
        const expected = rows.map(row => Object.fromEntries(row.map(({ json }, i) => [keys[i], json])))
        // JSON has no -0.
        expect(await jsonOf(statement)).toEqual(JSON.parse(JSON.stringify(expected)))
      }),
      fuzz(40, TEST_MILLIS),
    ))

  it.each([
    [
      "two columns of the same name",
      "SELECT 5 AS count, 3 AS count, 1 AS count_2",
      '{"count":5,"count_3":3,"count_2":1}',
    ],
    ["the order of the columns", `SELECT 1 AS "2", 2 AS "1"`, '{"2":1,"1":2}'],
    ["integers beyond 2^53, as text", "SELECT 9007199254740993 AS n", '{"n":"9007199254740993"}'],
    ["digits of json", `SELECT '[9007199254740993.10]'::jsonb AS j`, '{"j":[9007199254740993.10]}'],
    [
      "values that are not numbers in JSON",
      "SELECT 'NaN'::float8 AS a, '-Infinity'::float8 AS b",
      '{"a":"NaN","b":"-Infinity"}',
    ],
    ["arrays with bounds", "SELECT '[0:1]={a,NULL}'::text[] AS a", '{"a":["a",null]}'],
    ["arrays of a domain", "SELECT '{1,2}'::information_schema.cardinal_number[] AS a", '{"a":[1,2]}'],
    [
      "arrays with another delimiter",
      "SELECT '{(1,1),(0,0);(3,3),(2,2)}'::box[] AS a",
      '{"a":["(1,1),(0,0)","(3,3),(2,2)"]}',
    ],
    [
      "hidden characters, escaped",
      "SELECT U&'\\202Ea\\009B\\007F' AS a",
      String.raw`{"a":"\u202ea\u009b\u007f"}`,
    ],
  ])("keeps %s", async (_, statement, expected) => {
    const text = [...jsonText(await ask(statement))].join("")
    expect(text).toBe(`[\n  ${expected}\n]\n`)
  })
})

describe("text on a terminal", () => {
  it.each([
    ["a\u001b[31mb", "a\\x1b[31mb"],
    ["one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"],
    ["\u0000\u007f\u009b", "\\x00\\x7f\\x9b"],
    ["\u202eabc\u2066\u200b\u2028\ufeff", "\\u202eabc\\u2066\\u200b\\u2028\\ufeff"],
    ["\u{e0041}\ud800", "\\u{e0041}\\ud800"],
    ["é 漢字 😀 \\n", "é 漢字 😀 \\n"],
  ])("shows every hidden character of %j", (text, shown) => {
    expect(visible(text)).toBe(shown)
  })
})
