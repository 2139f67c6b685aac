/** Examines a JSON text without parsing it, and cuts values out of a text that is known to be valid. */

const QUOTE = 34
const BACKSLASH = 92
const COMMA = 44
const MINUS = 45
const POINT = 46
const ZERO = 48
const NINE = 57
const OPENING_BRACKET = 91
const CLOSING_BRACKET = 93
const OPENING_BRACE = 123
const CLOSING_BRACE = 125

/** Fewest characters per value: `[[[]]]` counts one for each two. */
const CHARS_PER_VALUE_MIN = 1

/** Position of the quote that ends the string at `start`; the end of the text if the string does not end. */
const endOfString = (text: string, start: number): number => {
  let end = text.indexOf('"', start + 1)
  while (end >= 0) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++
    if (escapes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

/**
 * True if a JSON text holds more values than `max`, which decides the memory of parsing. An array or an object counts
 * as two. Means nothing for a text that is not JSON.
 */
export const holdsMoreValues = (text: string, max: number): boolean => {
  if (text.length <= CHARS_PER_VALUE_MIN * max) return false
  let values = 1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = endOfString(text, i)
    else if (code === COMMA || code === OPENING_BRACKET || code === OPENING_BRACE) {
      if (++values > max) return true
    }
  }
  return false
}

/** Counts the values of a JSON text in UTF-8, in the same way as `holdsMoreValues`. */
export const valuesIn = (body: Uint8Array): number => {
  let values = 1
  let isInString = false
  for (let i = 0; i < body.length; i++) {
    const code = body[i]
    if (isInString) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) isInString = false
    } else if (code === QUOTE) isInString = true
    else if (code === COMMA || code === OPENING_BRACKET || code === OPENING_BRACE) values++
  }
  return values
}

const isOfNumber = (code: number): boolean =>
  (code >= ZERO && code <= NINE) || code === POINT || (code | 0x20) === 0x65 || code === 43 || code === MINUS

/** Literals up to this length without an exponent equal their doubles. */
const EXACT_LENGTH_MAX = 15

/**
 * Takes numbers that are not `isExact`, and parts deeper than `depthMax`, out of a valid JSON text. Strings of `mark`,
 * which must not occur in the text, and the position in `taken` stand in their place.
 */
export const takeOut = (
  text: string,
  mark: string,
  depthMax: number,
  isExact: (literal: string) => boolean,
): { readonly text: string; readonly taken: ReadonlyArray<string> } => {
  const taken: Array<string> = []
  const kept: Array<string> = []
  let from = 0
  let depth = 0
  let start = 0
  const take = (end: number) => {
    kept.push(text.slice(from, start), `"${mark}${taken.length}"`)
    taken.push(text.slice(start, end))
    from = end
  }
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = endOfString(text, i)
    else if (code === OPENING_BRACKET || code === OPENING_BRACE) {
      if (depth++ === depthMax) start = i
    } else if (code === CLOSING_BRACKET || code === CLOSING_BRACE) {
      if (--depth === depthMax) take(i + 1)
    } else if (depth <= depthMax && (code === MINUS || (code >= ZERO && code <= NINE))) {
      let end = i + 1
      while (end < text.length && isOfNumber(text.charCodeAt(end))) end++
      start = i
      const literal = text.slice(i, end)
      const isShort = literal.length <= EXACT_LENGTH_MAX && !/e/i.test(literal)
      if (!isShort && !isExact(literal)) take(end)
      i = end - 1
    }
  }
  kept.push(text.slice(from))
  return { text: kept.join(""), taken }
}
