/** Most characters of records in one statement. A string of V8 ends at 2^29, and Postgres reads a statement whole. */
const STATEMENT_CHARS_MAX = 2 ** 21

/** Cuts a list into pieces of at most `max` characters. An item that is longer is a piece of its own. */
export const cutByLength = <A extends { readonly raw: string }>(
  items: ReadonlyArray<A>,
  max: number = STATEMENT_CHARS_MAX,
): ReadonlyArray<ReadonlyArray<A>> => {
  const pieces: Array<Array<A>> = []
  let length = Number.POSITIVE_INFINITY
  for (const item of items) {
    length += item.raw.length
    if (length > max) {
      pieces.push([])
      length = item.raw.length
    }
    pieces.at(-1)!.push(item)
  }
  return pieces
}
