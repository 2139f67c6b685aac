/** What a text must be to be an id, and to lead to its record. This file imports nothing, so that reading settings loads no parser of JSON. */

/** Longest id in characters. Documented ids have 20 to 64 (D); a b-tree key takes 2,700 bytes. */
export const ID_LENGTH_MAX = 300

/** True if a text can be a key: of a row, of a reject, of what a pass has seen. Blank text cannot. */
export const isId = (text: string): boolean =>
  text.trim() !== "" && text.length <= ID_LENGTH_MAX && !text.includes("\u0000") && text.isWellFormed()

/**
 * Texts that some URL parser, proxy or server reads as more than one segment of a path, or as a step in it, also after
 * it decoded them once or twice: dots, an empty text, separators, and `%`, with which all of these can be written.
 */
const UNADDRESSABLE = /^\.{0,2}(;.*)?$|[/\\?#%]|\p{Cc}/su

/** An id that leads to its record and nowhere else when it is put in a path. */
export const isAddressable = (id: string): boolean => id.isWellFormed() && !UNADDRESSABLE.test(id)
