/** Builds HTML safely: a template escapes every value that is not already `Html`. */

export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Part = Html | string | number | null | undefined | ReadonlyArray<Html>

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

/**
 * Characters that reverse the text direction or end a line. Text from the API may hold them; each is shown as U+FFFD.
 */
const INVISIBLE = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

export const escape = (text: string): string =>
  text.replace(INVISIBLE, "\ufffd").replace(/[&<>"']/g, character => ESCAPES[character]!)

const textOf = (part: Part): string => {
  if (part === null || part === undefined) return ""
  if (part instanceof Html) return part.text
  if (typeof part === "object") return part.map(({ text }) => text).join("")
  return escape(String(part))
}

export const html = (literals: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(literals.map((text, i) => text + textOf(parts[i])).join(""))

/** Wraps text that is already HTML from a safe source, without escaping it. */
export const trusted = (text: string): Html => new Html(text)

export const NOTHING = new Html("")
