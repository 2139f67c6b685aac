import { fieldPaths } from "../../core/documentedFields.ts"
import { isJsonObject, type Json } from "../../core/json.ts"
import type { Unread } from "../../core/optional.ts"
import type { Child, Decoded, Row, Stream } from "../../core/stream.ts"
import { shapeOf } from "../../postgres/shape.ts"

/**
 * Twins: items of one record with one id, such as two accounts of a wallet. A table holds one row for each id: that of the
 * first item. Another item that differs is an item reject, so that it is not lost silently.
 */

/** Finds the path of the list in a record whose items have this id field. */
const listOf = (stream: Stream, id: string): ReadonlyArray<string> | undefined =>
  fieldPaths(stream.record)
    .find(({ keys }) => keys.length > 1 && keys.at(-1) === id)
    ?.keys.slice(0, -1)

const valueAt = (record: Json, keys: ReadonlyArray<string>): Json | undefined =>
  keys.reduce<Json | undefined>((value, key) => (isJsonObject(value) ? value[key] : undefined), record)

const twinsOf = (
  stream: Stream,
  child: Child,
  record: Json,
  rows: ReadonlyArray<Row>,
  unread: ReadonlyArray<Unread>,
): ReadonlyArray<Unread> => {
  const { name, key } = shapeOf(child.table)
  const id = key.at(-1)!
  const keys = listOf(stream, id)
  const items = keys === undefined ? undefined : valueAt(record, keys)
  const isUnread = new Set(unread.map(({ path }) => path.join(".")))
  /** Positions in the list of the items with an id that became rows. */
  const places = (value: Row[string] | undefined): ReadonlyArray<number> =>
    Array.isArray(items)
      ? items.flatMap((item, place) =>
          isJsonObject(item) && String(item[id]) === value && !isUnread.has([...keys!, place].join("."))
            ? [place]
            : [],
        )
      : []
  const seen = new Map<Row[string] | undefined, { readonly first: string; count: number }>()
  return rows.flatMap((row, position): ReadonlyArray<Unread> => {
    const text = JSON.stringify(row)
    const before = seen.get(row[id])
    if (before === undefined) {
      seen.set(row[id], { first: text, count: 1 })
      return []
    }
    const place = places(row[id])[before.count++]
    if (text === before.first) return []
    const reason = `has the same ${id} as another item of the record, and differs from it`
    return place === undefined
      ? [{ kind: "item", path: [name, String(position)], reason, value: row as Json }]
      : [
          {
            kind: "item",
            path: [...keys!, String(place)],
            reason,
            value: (items as ReadonlyArray<Json>)[place]!,
          },
        ]
  })
}

/** Keeps one row for each id of a record's items, and adds the other items to its unread parts. */
export const withoutTwins = (stream: Stream, record: Json, decoded: Decoded): Decoded => {
  const kept = stream.children.filter(({ surplus }) => surplus === "keep")
  const twins = kept.flatMap(child => {
    const rows = decoded.children?.[shapeOf(child.table).name] ?? []
    return rows.length < 2 ? [] : twinsOf(stream, child, record, rows, decoded.unread ?? [])
  })
  if (twins.length === 0) return decoded
  const first = (child: Child, rows: ReadonlyArray<Row>): ReadonlyArray<Row> => {
    const id = shapeOf(child.table).key.at(-1)!
    return rows.filter((row, position) => rows.findIndex(other => other[id] === row[id]) === position)
  }
  const children = Object.fromEntries(
    kept.flatMap(child => {
      const { name } = shapeOf(child.table)
      const rows = decoded.children?.[name]
      return rows === undefined ? [] : [[name, first(child, rows)]]
    }),
  )
  return {
    ...decoded,
    children: { ...decoded.children, ...children },
    unread: [...(decoded.unread ?? []), ...twins],
  }
}
