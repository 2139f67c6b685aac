/** Defines ids, and which of them fit into a path. Imports nothing: settings load no parser of JSON. */

/** Longest id in characters. Documented ids have 20 to 64 (D); a b-tree key takes 2,700 bytes. */
export const ID_LENGTH_MAX = 300

/** True if a text can be a key of a row, a reject or a seen record. Blank text cannot. */
export const isId = (text: string): boolean =>
  text.trim() !== "" && text.length <= ID_LENGTH_MAX && !text.includes("\u0000") && text.isWellFormed()

/**
 * Texts that a URL parser, proxy or server may read as more than one segment of a path, or as a step in it, also after
 * decoding them once or twice: dots, an empty text, separators, and `%`, which can spell all of these.
 */
const UNADDRESSABLE = /^\.{0,2}(;.*)?$|[/\\?#%]|\p{Cc}/su

/** True if an id in a path leads to its record and to no other place. */
export const isAddressable = (id: string): boolean => id.isWellFormed() && !UNADDRESSABLE.test(id)
