import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { PAGE_BOUNDS } from "../../src/paycombat/client/bounds.ts"
import { type Sandbox, start } from "../../src/sandbox/sandbox.ts"
import { pageOf, SHAPES, type Shape } from "../support/answerShapes.ts"
import { cli, databaseEnvironment, sandboxEnvironment } from "../support/cli.ts"
import { isSoaking } from "../support/crash.ts"
import { listPath } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"

/** Most memory that the process of a run may take with an answer that is accepted, whatever is in it. */
const PEAK_KIB_MAX = 300 * 1_024
/** The same for pages as large as that, one after another, in every list at once. */
const PEAK_OF_ALL_KIB_MAX = 500 * 1_024
/** Exit codes of a run that ended by itself: all read, or a stream failed. */
const ENDED = [0, 1]

const LIST = listPath("transactions")
/** Writes the process' peak beside it when it ends: nothing else tells that of a child. */
const REPORT = `data:text/javascript,${encodeURIComponent(
  'import{writeFileSync}from"node:fs";process.on("exit",()=>writeFileSync("peak",String(process.resourceUsage().maxRSS)))',
)}`

/** Runs `sync` against such a sandbox; the program's end, and its peak in KiB. */
const measured = (
  sandbox: Sandbox,
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>>,
) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const { run, directory } = yield* cli({
      ...sandboxEnvironment(sandbox),
      ...databaseEnvironment(ownerUrl),
      ...environment,
      NODE_OPTIONS: `--max-old-space-size=1024 --import=${REPORT}`,
    })
    const ended = yield* run(["sync", ...args, "--json"])
    return { ...ended, peakKib: Number(readFileSync(join(directory, "peak"), "utf8")) }
  })

const NOTHING = JSON.stringify({ status: true, message: "OK", data: [] })

/** Syncs transactions whose first page is `body`. */
const syncOf = (body: (record: (id: string) => string) => string) =>
  Effect.gen(function* () {
    const sandbox = yield* start(SMALL)
    const record = JSON.parse(sandbox.truth.text("transactions", 0))
    const first = body(id => JSON.stringify({ ...record, transaction_id: id }))
    sandbox.setFault(({ path, query }) => {
      if (path !== LIST) return undefined
      const page = Number(query.get("page") ?? 1)
      return page < 1 ? { status: 400 } : { body: page === 1 ? first : NOTHING }
    })
    return yield* measured(sandbox, ["--stream", "transactions", "--stream", "payouts"], {
      PAYCOMBAT_PATH_TRANSACTIONS: LIST,
    })
  })

const IDS = {
  customers: "customer_id",
  wallets: "wallet_id",
  payouts: "id",
  checkouts: "id",
  transactions: "transaction_id",
} as const
/** Pages in a row of each list. */
const PAGES = 4

/** Syncs five lists at once, each of several pages of this shape. */
const syncOfAll = (shape: Shape) =>
  Effect.gen(function* () {
    const sandbox = yield* start(SMALL)
    const lists = Object.entries(IDS) as ReadonlyArray<[keyof typeof IDS, string]>
    const served = new Map(
      lists.map(([stream, idField]) => {
        const record = JSON.parse(sandbox.truth.text(stream, 0))
        const made = new Map<number, string>()
        const page = (number: number) => {
          const known = made.get(number)
          if (known !== undefined) return known
          const body = pageOf(shape, number, id => JSON.stringify({ ...record, [idField]: id }))
          made.set(number, body)
          return body
        }
        return [listPath(stream), page]
      }),
    )
    const asked = new Map<string, number>()
    sandbox.setFault(({ path, query }) => {
      const page = served.get(path)
      if (page === undefined) return undefined
      const number = Number(query.get("page") ?? 1)
      if (number < 1) return { status: 400 }
      asked.set(path, Math.max(asked.get(path) ?? 0, Math.min(number, PAGES)))
      return { body: number <= PAGES ? page(number) : NOTHING }
    })
    const paths = lists.map(([stream]) => [`PAYCOMBAT_PATH_${stream.toUpperCase()}`, listPath(stream)])
    const streams = lists.flatMap(([stream]) => ["--stream", stream])
    const ended = yield* measured(sandbox, streams, {
      ...Object.fromEntries(paths),
      PAYCOMBAT_REJECTS_MAX: "100%",
    })
    return { ...ended, pages: [...asked.values()].reduce((sum, count) => sum + count, 0) }
  })

/** The shape of each kind that takes the most memory. */
const LARGEST_OF_THEIR_KIND = [
  "objects of keys of their own",
  "short texts",
  "nested beyond the bound",
  "one record of many keys",
  "one record of many numbers",
  "one long text of escapes",
  "one long number",
  "one record nested deep",
  "white space",
  "huge records",
]
/** The shapes that take the most memory where five lists hold them at once; the first takes more than the others. */
const LARGEST_AT_ONCE = ["one long text of escapes", "one record of many keys", "short texts"]

const shapesNamed = (names: ReadonlyArray<string>): ReadonlyArray<Shape> =>
  names.map(name => SHAPES.find(shape => shape.name === name)!)

describe("an answer as large as its bounds", () => {
  const shapes = isSoaking ? SHAPES : shapesNamed(LARGEST_OF_THEIR_KIND)
  it.scopedLive.each([...shapes])("stays below 300 MiB: $name", (shape: Shape) =>
    Effect.gen(function* () {
      const { code, stdout, peakKib } = yield* syncOf(record => pageOf(shape, 1, record))
      console.info(`${Math.round(peakKib / 1_024)} MiB: ${shape.name}`)
      expect(ENDED).toContain(code)
      expect(stdout).not.toContain("answered more than")
      expect(peakKib).toBeLessThan(PEAK_KIB_MAX)
    }),
  )
})

describe("answers as large as their bounds, in a row and in five lists at once", () => {
  const shapes = shapesNamed(isSoaking ? LARGEST_AT_ONCE : LARGEST_AT_ONCE.slice(0, 1))
  it.scopedLive.each([...shapes])("stay below 500 MiB: $name", (shape: Shape) =>
    Effect.gen(function* () {
      const { code, stdout, peakKib, pages } = yield* syncOfAll(shape)
      console.info(`${Math.round(peakKib / 1_024)} MiB in ${pages} pages: ${shape.name}`)
      expect(ENDED).toContain(code)
      expect(stdout).not.toContain("answered more than")
      expect(pages).toBeGreaterThanOrEqual(2 * Object.keys(IDS).length)
      expect(peakKib).toBeLessThan(PEAK_OF_ALL_KIB_MAX)
    }),
  )
})

describe("an answer beyond its bounds", () => {
  const list = (items: string) => `{"status":true,"message":"OK","data":[${items}]}`
  const cases: ReadonlyArray<readonly [string, () => string, RegExp]> = [
    ["of empty lists", () => list(`[]${",[]".repeat(20_000_000)}`), /more than 5 MiB/],
    ["of a million empty objects", () => list(`{}${",{}".repeat(1_000_000)}`), /150,000 JSON values/],
    ["nested", () => list(`${'{"a":'.repeat(700_000)}1${"}".repeat(700_000)}`), /150,000 JSON values/],
    ["of too many records", () => list(`{}${",{}".repeat(PAGE_BOUNDS.records)}`), /10,000 records/],
  ]
  it.scopedLive.each([...cases])("fails its stream, and no other: %s", ([, body, message]) =>
    Effect.gen(function* () {
      const { code, stdout, peakKib } = yield* syncOf(body)
      expect(code).toBe(1)
      const { streams } = JSON.parse(stdout)
      const found = Object.fromEntries(streams.map((each: { stream: string }) => [each.stream, each]))
      expect(found.payouts.status).toBe("complete")
      expect(found.transactions.status).toBe("failed")
      expect(found.transactions.error).toMatch(message)
      expect(found.transactions.error).toContain("lower PAYCOMBAT_PAGE_SIZE")
      expect(peakKib).toBeLessThan(PEAK_KIB_MAX)
    }),
  )
})
