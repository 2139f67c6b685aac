import { PAGE_BOUNDS } from "../../src/paycombat/client/bounds.ts"

/** Answers of a list that are as large as its bounds let them be, in the shapes that take the most memory. */

/** Room for the envelope, and for one record as documented. */
const ROOM_BYTES = 4_096
const BYTES = PAGE_BOUNDS.bytes - ROOM_BYTES
const VALUES = PAGE_BOUNDS.values - 400
/** Items beside it. */
const ITEMS = PAGE_BOUNDS.records - 1
/** Values of one of so many items. */
const PER_ITEM = Math.floor(VALUES / ITEMS)

const times = (count: number, item: (n: number) => string): string =>
  Array.from({ length: Math.floor(count) }, (_, n) => item(n)).join(",")

const array = (item: string, count: number): string => times(count, () => item)

/** So many characters of a text, which takes `bytesPer` bytes each. */
const longText = (piece: string, bytes = BYTES): string =>
  piece.repeat(Math.floor(bytes / Buffer.byteLength(piece)))

/** Records beside the documented one, as JSON text. `fill` is a member of a record that is as documented otherwise. */
export interface Shape {
  readonly name: string
  readonly items?: () => string
  readonly member?: () => string
  /** Members of each of so many documented records. */
  readonly each?: readonly [records: number, member: (n: number) => string]
}

export const SHAPES: ReadonlyArray<Shape> = [
  { name: "empty objects", items: () => array("{}", ITEMS) },
  { name: "lists of empty objects", items: () => times(ITEMS, () => `[${array("{}", (PER_ITEM - 2) / 2)}]`) },
  { name: "lists of empty lists", items: () => times(ITEMS, () => `[${array("[]", (PER_ITEM - 2) / 2)}]`) },
  {
    name: "objects of keys of their own",
    items: () => times(ITEMS, n => `{${times(PER_ITEM - 2, m => `"k${n}_${m}":${m % 10}`)}}`),
  },
  {
    name: "lists of objects of a key of their own",
    items: () => times(ITEMS, n => `[${times(PER_ITEM / 2 - 1, m => `{"k${n}_${m}":1}`)}]`),
  },
  { name: "numbers", items: () => times(ITEMS, n => `[${times(PER_ITEM - 2, m => `${n}.${m}5`)}]`) },
  {
    name: "numbers that doubles cannot hold",
    items: () => times(ITEMS, () => `[${array("12345678901234567", PER_ITEM - 2)}]`),
  },
  { name: "short texts", items: () => times(ITEMS, n => `[${times(PER_ITEM - 2, m => `"${n} ${m} 漢"`)}]`) },
  { name: "nested to the bound", items: () => times(VALUES / 191, () => "[".repeat(190) + "]".repeat(190)) },
  {
    name: "nested beyond the bound",
    items: () => times(VALUES / 1_002, () => `${'{"a":'.repeat(999)}1${"}".repeat(999)}`),
  },
  { name: "one record of many keys", member: () => `{${times(VALUES, n => `"key ${n}":${n % 10}`)}}` },
  { name: "one record of many numbers", member: () => `[${times(VALUES, () => "12345678901234567")}]` },
  { name: "one long text", member: () => `"${longText("a")}"` },
  { name: "one long text that is not Latin", member: () => `"漢${longText("a")}"` },
  { name: "one long text of escapes", member: () => `"漢${longText(String.raw`\\`)}"` },
  { name: "one long text of control characters", member: () => `"${longText(String.raw`\u0001`)}"` },
  { name: "one long number", member: () => longText("9") },
  { name: "one record nested deep", member: () => "[".repeat(VALUES) + "]".repeat(VALUES) },
  { name: "white space", member: () => `1${longText(" ")}` },
  { name: "large records", each: [2_000, n => `"漢${n}${longText("a", BYTES / 2_000 - 1_000)}"`] },
  { name: "huge records", each: [40, n => `"漢${n}${longText(String.raw`\"`, BYTES / 40 - 1_000)}"`] },
]

/** A page of such a list: `record` makes the text of a documented one, `}` left off. */
export const pageOf = (shape: Shape, page: number, record: (id: string) => string): string => {
  const open = (n: number) => record(`page_${page}_${n}`).replace(/\}$/, "")
  const records =
    shape.each !== undefined
      ? times(shape.each[0], n => `${open(n)},"extra":${shape.each![1](n)}}`)
      : shape.member !== undefined
        ? `${open(0)},"extra":${shape.member()}}`
        : `${open(0)}},${shape.items!()}`
  return `{"status":true,"message":"OK","data":[${records}]}`
}
