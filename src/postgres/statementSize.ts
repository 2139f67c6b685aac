/** Characters of records that one statement carries: a text of V8's ends at 2^29, and Postgres reads a statement whole. */
export const STATEMENT_CHARS_MAX = 2 ** 21

/** Cuts a list where the next item would make a piece too long; one that is too long by itself stays alone. */
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
