import { isId } from "../../core/id.ts"

/** True if the text of a record names somebody: their id stands in it, whole and not as a part of a longer word. */

/** An id as it stands in the text of a record; undefined of what can be nobody's. */
const inJson = (id: string): string | undefined => (isId(id) ? JSON.stringify(id).slice(1, -1) : undefined)

/** What Postgres' regular expressions give a meaning to. */
const SPECIAL = /[\\^$.*+?()[\]{}|]/g
/** Before an id: no letter, digit or underscore, unless it ends an escape, such as that of a line's end. */
const BEFORE = String.raw`(^|[^[:alnum:]_]|\\[bfnrt]|\\u[0-9a-fA-F]{4})`
const AFTER = "(?![[:alnum:]_])"

/** Parameters of `named`, one per id; none for what can be nobody's id. */
export const namings = (ids: Iterable<string>): { texts: Array<string>; patterns: Array<string> } => {
  const texts = Array.from(ids, inJson).filter(text => text !== undefined)
  return { texts, patterns: texts.map(text => `${BEFORE}${text.replace(SPECIAL, "\\$&")}${AFTER}`) }
}

/** Condition over the text `raw` of a record: one of the ids is in it, whose texts and patterns are the two parameters. */
export const named = (raw: string, texts: number, patterns: number): string =>
  `EXISTS (SELECT FROM unnest($${texts}::text[], $${patterns}::text[]) AS n(text, pattern)
    WHERE CASE WHEN position(n.text IN ${raw}) > 0 THEN ${raw} ~ n.pattern END)`
