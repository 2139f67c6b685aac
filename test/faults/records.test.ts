import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { contentHash, type JsonObject, MAX_DEPTH, stringifyJson } from "../../src/core/json.ts"
import { recordIdOf } from "../../src/core/recordId.ts"
import { isList, type ListStream, type Stream } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { unstorableText } from "../../src/postgres/unstorable.ts"
import { allStreams } from "../../src/registry.ts"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { READINESS_PATH } from "../../src/sandbox/streams/wallet_readiness.ts"
import type { StreamSummary } from "../../src/warehouse/ledger/summary.ts"
import { amountFields, recordOf, timeFields, withMember, wrongTypes } from "../support/badRecords.ts"
import { withField } from "../support/conformance.ts"
import { bench, json, streamOf } from "../support/warehouse.ts"

/** Whole runs over lists of which every other record is bad, or only looks so. Nothing here names a field. */

const streams = await Effect.runPromise(allStreams)

/**
 * Result of a record: a row, or a reject that names this field, or no field if the record itself is at fault. An
 * optional field is named by a field reject, beside a row.
 */
type Fate = "row" | { readonly field: string | null }
type Make = (record: JsonObject) => string
type Case = readonly [what: string, make: Make, fate: Fate]

const at = (field: string | null): Fate => ({ field })
const member =
  (text: string): Make =>
  record =>
    withMember(record, text)

const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
const MIB = 2 ** 20

/** Cases for every stream: texts that are valid JSON. */
const ABSURD: ReadonlyArray<Case> = [
  ["NUL in text", member('"odd":"a\\u0000b"'), at("odd")],
  ["NUL in a key", member('"odd":{"\\u0000":1}'), at("odd.(a key)")],
  ["half a character", member('"odd":["\\ud800"]'), at("odd.0")],
  ["half a character in a key", member('"odd":{"a":{"\\udfff!":1}}'), at("odd.(a key).(a key)")],
  ["NUL under an empty key", member('"":"\\u0000"'), at("(an empty key)")],
  ["NUL spelled out", member('"odd":"\\\\u0000 \\\\ud800 \\ud83d\\ude00"'), "row"],
  ["400 digits", member(`"odd":${"9".repeat(400)}`), "row"],
  ["20,000 digits", member(`"odd":-${"7".repeat(20_000)}`), "row"],
  ["as many digits as numeric has", member(`"odd":1e131071`), "row"],
  ["one more", member(`"odd":{"n":1e131072}`), at("odd.(a key)")],
  ["as long a fraction as numeric has", member(`"odd":1e-16383`), "row"],
  ["a longer one", member(`"odd":0.${"3".repeat(16_384)}`), at("odd")],
  ["a number beyond doubles", member('"odd":1e400'), "row"],
  ["an exponent that is a bomb", member('"odd":[[1e999999999]]'), at("odd.0.0")],
  ["an exponent that is one below zero", member('"odd":-1E-99999999999999999999'), at("odd")],
  ["zeros", member('"odd":[-0,0e0,0.000,-0.0e-7,0E99999]'), "row"],
  ["nesting that is read", member(`"odd":${nested(MAX_DEPTH - 10)}`), "row"],
  ["nesting that is not", member(`"odd":${nested(MAX_DEPTH + 1)}`), at(`odd${".0".repeat(9)}.…`)],
  [
    "nesting without end",
    member(`"odd":${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`),
    at(`odd${".(a key)".repeat(9)}.…`),
  ],
  ["NUL under a key without end", member(`"${"k".repeat(MIB)}":"\\u0000"`), at("(a key)")],
  [
    "10,000 keys",
    member(`"odd":{${Array.from({ length: 10_000 }, (_, n) => `"k${n}":${n}`).join()}}`),
    "row",
  ],
  [
    "keys that programs use",
    member(
      '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":1,"hasOwnProperty":"no",' +
        '"then":2,"toJSON":"x","length":9,"":{"":[]},"isLosslessNumber":true,"text":"1"',
    ),
    "row",
  ],
  ["a key that comes twice", member('"odd":"\\u0000","odd":"last"'), "row"],
  ["a list", () => "[1,2]", at(null)],
  ["no list", () => "[]", at(null)],
  ["a text", () => '"text"', at(null)],
  ["text that cannot be stored", () => '"\\u0000"', at(null)],
  ["a number", () => "17", at(null)],
  ["a number that cannot be stored", () => "1e999999", at(null)],
  ["null", () => "null", at(null)],
  ["true", () => "true", at(null)],
  ["nothing but nesting", () => nested(300), at(`(a key).${"0.".repeat(9)}…`)],
]

const BAD_TIMES = [
  "2026-02-30T00:00:00.000Z",
  "2025-02-29T12:00:00Z",
  "0000-01-01T00:00:00Z",
  "-0001-01-01T00:00:00Z",
  "0044-03-15T00:00:00 BC",
  "+275760-09-13T00:00:00.000Z",
  "12026-01-01T00:00:00Z",
  "2016-12-31T23:59:61Z",
  "2026-01-01T24:00:01Z",
  "2026-13-01T00:00:00Z",
  "2026-01-01T00:00:00+16:00",
  "2026-01-01T00:00:00-99:99",
  "infinity",
  "now",
  "1767225600",
  "",
]
const ODD_TIMES = [
  "0001-01-01T00:00:00+14:00",
  "9999-12-31T23:59:59.999999999-15:59",
  "2024-02-29 23:59:59",
  "2016-12-31T23:59:60Z",
  "2026-01-01T24:00:00Z",
  "20260101T000000Z",
]
const BAD_AMOUNTS = ["NaN", "-Infinity", "", " ", "1,000.00", "0x10", "1_000", "١٢", "1.2.3", "1e999999999"]

/** Cases for one stream: its times, its amounts, its ids. */
const casesOf = (stream: ListStream): ReadonlyArray<Case> => {
  const { idField } = stream.source
  const put =
    (path: ReadonlyArray<string>, value: string): Make =>
    record =>
      stringifyJson(withField(record, path, value))
  const raw =
    (path: ReadonlyArray<string>, literal: string): Make =>
    record =>
      stringifyJson(withField(record, path, "@")).replace('"@"', literal)
  const times = timeFields(stream)
  const amounts = amountFields(stream)
  return [
    ...times.flatMap((path, n) =>
      // Each field the same, and each text once at least.
      BAD_TIMES.filter((_, k) => n === 0 || k % times.length === n).map(
        (text): Case => [`${path.join(".")} ${text}`, put(path, text), at(path.join("."))],
      ),
    ),
    ...times.flatMap(path => ODD_TIMES.map((text): Case => [`${path} ${text}`, put(path, text), "row"])),
    ...amounts.flatMap(path =>
      BAD_AMOUNTS.map((text): Case => [`${path} "${text}"`, put(path, text), at(path.join("."))]),
    ),
    ...amounts.flatMap((path): ReadonlyArray<Case> => {
      const field = at(path.join("."))
      return [
        [`${path} of 400 digits`, raw(path, "8".repeat(400)), "row"],
        [`${path} of 20,000 digits`, raw(path, "8".repeat(20_000)), field],
        [`${path} that is a bomb`, raw(path, "1e999999999"), field],
        [`${path} beyond doubles`, raw(path, "-1e400"), "row"],
        [`${path} -0`, raw(path, "-0"), "row"],
      ]
    }),
    ["no id", record => stringifyJson(withField(record, [idField], undefined)), at(idField)],
    ["an empty id", put([idField], ""), at(idField)],
    ["an id of 10,000 characters", put([idField], "x".repeat(10_000)), at(idField)],
    ["an id that cannot be stored", put([idField], "a\u0000"), at(idField)],
    ["an id that is half a character", put([idField], "\ud800"), at(idField)],
    ...[
      "Twin",
      "twin",
      "twin ",
      " twin",
      "tw\u00efn",
      "twi\u0308n",
      "twin\u200b",
      "..",
      "a/b?c#d",
      "%00",
    ].map((id): Case => [`id "${id}"`, put([idField], id), "row"]),
  ]
}

const sumOf = ({
  inserted,
  updated,
  unchanged,
  stale,
  rejected,
  unanswered,
  erased,
}: StreamSummary & { erased?: number }) =>
  inserted + updated + unchanged + stale + rejected + unanswered + (erased ?? 0)

/** The fields of a record that are null in its row because they cannot be read; undefined where it becomes none. */
const unreadIn = (stream: ListStream, text: string): ReadonlyArray<string> | undefined => {
  if (unstorableText(json(text), text) !== undefined) return undefined
  const decoded = stream.decode(json(text))
  return decoded._tag === "Left" ? undefined : (decoded.right.unread ?? []).map(({ path }) => path.join("."))
}

/** Lists further records of which every other one is a case. Answers the texts, and the ids that must be rows. */
const serve = (sandbox: Sandbox, stream: ListStream, cases: ReadonlyArray<Case>) => {
  const name = stream.name as string
  const { idField, merchantField } = stream.source
  const merchant = JSON.parse(sandbox.truth.text(name, 0))[merchantField!] as string
  const first = [...sandbox.truth.ids(name)].length
  sandbox.insert(name, 2 * cases.length, "back")
  const rows = new Set(sandbox.truth.ids(name))
  const texts = cases.map(([, make], n) => {
    const index = first + 2 * n
    const text = make(recordOf(stream, sandbox.idOf(name, index), merchant))
    sandbox.replace(name, index, text)
    rows.delete(sandbox.idOf(name, index))
    return text
  })
  cases.forEach(([, , fate], n) => {
    if (fate === "row" || unreadIn(stream, texts[n]!) !== undefined)
      rows.add((json(texts[n]!) as JsonObject)[idField] as string)
  })
  return { texts, rows }
}

/** Syncs a stream with cases twice, and holds the warehouse against what must have become of each. */
const holds = (stream: ListStream, cases: ReadonlyArray<Case>) =>
  Effect.gen(function* () {
    const { sandbox, sync, rows, value } = yield* bench({ customers: 12, transactions: 12, payouts: 12 })
    const served = serve(sandbox, stream, cases)
    const only = [stream.name]
    const { table } = shapeOf(stream.table)
    const stored = Effect.map(rows(`SELECT "${stream.idColumn}" AS id FROM ${table}`), found =>
      found.map(({ id }) => id!).sort(),
    )
    const first = streamOf(yield* sync({ only, rejectsMax: 1, account: { pageSize: 40 } }), stream.name)
    expect([first.status, first.error]).toEqual(["complete_with_rejects", null])
    expect(first.extracted).toBe(sumOf(first))
    expect(yield* stored).toEqual([...served.rows].sort())

    const found = yield* rows(
      `SELECT field, reason, raw FROM sync.rejects WHERE stream = '${stream.name}' AND kind = 'record'`,
    )
    const unread = yield* rows(
      `SELECT record_id AS id, field FROM sync.rejects WHERE stream = '${stream.name}' AND kind IN ('field', 'item')`,
    )
    const byHash = new Map(found.map(reject => [contentHash(json(reject.raw!), 0), reject]))
    const cost = cases.flatMap(([what, , fate], n) => {
      const fields = unreadIn(stream, served.texts[n]!)
      return fate === "row" ? [] : [{ what, fate, n, fields }]
    })
    const rejected = cost.filter(({ fields }) => fields === undefined)
    const listed = cost.flatMap(({ what, fate, n, fields = [] }) => {
      // Empty text is null. An item of a list that lacks what it needs is named as a whole.
      if (fields.length > 0)
        expect([what, fields.map(field => `${fate.field}.`.startsWith(`${field}.`))]).toEqual([what, [true]])
      const id = recordIdOf(stream.source, json(served.texts[n]!))
      return fields.map(field => ({ id, field }))
    })
    const sorted = (pairs: ReadonlyArray<object>) => pairs.map(pair => JSON.stringify(pair)).sort()
    expect(sorted(unread)).toEqual(sorted(listed))
    for (const { what, fate, n } of rejected) {
      const reject = byHash.get(contentHash(json(served.texts[n]!), 0))
      expect([what, reject?.field]).toEqual([what, fate.field])
      expect(reject!.reason).toMatch(/^[^:]+: ./)
    }
    expect(found).toHaveLength(new Set(rejected.map(({ n }) => contentHash(json(served.texts[n]!), 0))).size)
    expect("polluted" in {}).toBe(false)

    const second = streamOf(yield* sync({ only, rejectsMax: 1, account: { pageSize: 40 } }), stream.name)
    expect(second).toMatchObject({ inserted: 0, updated: 0, stale: 0, rejected: first.rejected })
    expect(second.extracted).toBe(sumOf(second))
    expect(yield* stored).toEqual([...served.rows].sort())
    expect(yield* value("SELECT count(*) FROM sync.rejects")).toBe(String(found.length + unread.length))
    return { texts: served.texts, rows }
  })

const lists = streams.filter(isList).map(stream => [stream.name, stream] as const)

describe.each(lists)("records of the list of %s", (_, stream) => {
  it.scopedLive(
    "a record with any field of the wrong type is a reject that names it, or a row that lacks it",
    () =>
      holds(
        stream,
        wrongTypes(stream).map(({ field, record }): Case => {
          const isId = field === stream.source.idField
          const { merchantField, idField } = stream.source
          const make: Make = whole => {
            const ided = isId ? record : withField(record, [idField], whole[idField])
            const isMerchant = merchantField === null || field === merchantField
            return stringifyJson(isMerchant ? ided : withField(ided, [merchantField], whole[merchantField]))
          }
          return [field, make, at(field)]
        }),
      ),
  )

  it.scopedLive("an absurd record is a reject with its reason, or a row that holds all of it", () =>
    Effect.gen(function* () {
      const cases = [...ABSURD, ...casesOf(stream)]
      if (stream.name === "transactions")
        cases.push(["4 MiB", member(`"odd":"${"long ".repeat((4 * MIB) / 5)}"`), "row"])
      const { texts, rows } = yield* holds(stream, cases)
      const { table } = shapeOf(stream.table)
      const raws = yield* rows(`SELECT raw::text AS text FROM ${table}`)
      const kept = new Set(raws.map(({ text }) => contentHash(json(text!), 0)))
      for (const [n, [what, , fate]] of cases.entries())
        if (fate === "row") expect([what, kept.has(contentHash(json(texts[n]!), 0))]).toEqual([what, true])
    }),
  )
})

describe("answers about wallet readiness", () => {
  it.scopedLive("a bad one is a failed check of its customer only", () =>
    Effect.gen(function* () {
      const { sandbox, sync, rows } = yield* bench({
        customers: 70,
        transactions: 3,
        payouts: 3,
        checkouts: 3,
      })
      yield* sync({ only: ["customers"] })
      const stream = streams.find(({ name }) => name === "wallet_readiness") as Stream
      const ids = [...sandbox.truth.ids("customers")]
      const bad = [
        // The id is the one that was asked for: the answer does not repeat it.
        ...wrongTypes(stream)
          .filter(({ field }) => field !== stream.source.idField)
          .map(({ record }) => stringifyJson(withField(record, [stream.source.idField], undefined))),
        ...ABSURD.filter(([, , fate]) => fate !== "row").map(([, make]) =>
          make({ is_wallet_ready: true, missing_field: [] }),
        ),
        '{"is_wallet_ready":false,"missing_field":["dob","\\u0000"]}',
        '{"is_wallet_ready":false,"missing_field":["\\udc00"]}',
      ]
      const fine = ABSURD.filter(([, , fate]) => fate === "row").map(([, make]) =>
        make({ is_wallet_ready: false, missing_field: ["dob", "__proto__", ""] }),
      )
      const texts = [...bad, ...fine]
      expect(texts.length).toBeLessThan(ids.length)
      const [head = ""] = READINESS_PATH.split("{id}")
      sandbox.setFault(({ path }) => {
        const text = texts[ids.indexOf(path.slice(head.length))]
        return path.startsWith(head) && text !== undefined
          ? { body: `{"status":true,"data":${text}}` }
          : undefined
      })
      // Most checks fail here, which would fail the stream.
      const booked = streamOf(yield* sync({ only: ["wallet_readiness"], rejectsMax: 1 }), "wallet_readiness")
      expect([booked.status, booked.error]).toEqual(["complete", null])
      expect(booked).toMatchObject({ extracted: ids.length, leftOver: 0 })
      expect(booked.extracted).toBe(sumOf(booked))
      const answers = new Map(
        (yield* rows(
          "SELECT customer_id, is_wallet_ready, missing_fields, check_error FROM warehouse.wallet_readiness",
        )).map(row => [row.customer_id, row]),
      )
      for (const [n, id] of ids.entries()) {
        const { is_wallet_ready, check_error, missing_fields } = answers.get(id)!
        const told = [texts[n]?.slice(0, 80), is_wallet_ready === null, check_error !== null]
        expect(told).toEqual([texts[n]?.slice(0, 80), n < bad.length, n < bad.length])
        if (n >= bad.length && n < texts.length) expect(missing_fields).toBe('["", "__proto__", "dob"]')
      }
    }),
  )
})
