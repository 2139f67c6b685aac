/**
 * Escapes text from the API or the database for a terminal. Such text can hold escape sequences that move the cursor or
 * rename the window, line breaks that fake a line of the program, and marks that reverse or hide the text after them.
 */

/** Control, format and separator characters, and lone surrogates. All are invisible or change how text is shown. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, "0")

const escaped = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  const short = SHORT[character]
  if (short !== undefined) return short
  if (code < 0x100) return `\\x${hex(code, 2)}`
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\u{${hex(code, 1)}}`
}

/**
 * Renders text as one line in which every character is visible: ESC as `\x1b`, a line break as `\n`, a bidi override as
 * `\u202e`.
 */
export const visible = (text: string): string => text.replace(HIDDEN, escaped)

/** Renders several lines: line breaks stay, and everything else is escaped as in `visible`. */
export const visibleLines = (text: string): string =>
  text.replace(HIDDEN, character => (character === "\n" ? character : escaped(character)))

/** Escapes hidden characters in JSON strings as `\u`. The value and the white space stay the same. */
export const visibleJson = (json: string): string =>
  json.replace(HIDDEN, character =>
    /[\n\r\t]/.test(character)
      ? character
      : Array.from({ length: character.length }, (_, i) => `\\u${hex(character.charCodeAt(i), 4)}`).join(""),
  )
