/** The bounds of an id as text. This file imports nothing, so that reading settings loads no parser of JSON. */

/** Longest id in characters. Documented ids have 20 to 64 (D); a b-tree key takes 2,700 bytes. */
export const ID_LENGTH_MAX = 300

/** True if a text can be a key: of a row, of a reject, of what a pass has seen. Blank text cannot. */
export const isId = (text: string): boolean =>
  text.trim() !== "" && text.length <= ID_LENGTH_MAX && !text.includes("\u0000") && text.isWellFormed()
