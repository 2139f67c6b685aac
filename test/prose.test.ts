import { readdirSync, readFileSync, statSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"

/** The rule of plain English. CONTRIBUTING.md states it with examples. */

const ROOT = new URL("../", import.meta.url)

/** Folders and files with prose. */
const PLACES: ReadonlyArray<string> = [
  ...[".env.example", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "DECISIONS.md", "README.md"],
  ...["Dockerfile", "compose.yaml", "deploy", "docs", "drizzle.config.ts", "scripts", "src", "test"],
  "vitest.shared.ts",
]

interface Passage {
  readonly line: number
  readonly text: string
  readonly kind: "comment" | "message" | "title" | "prose"
}

const lineAt = (text: string, index: number) => text.slice(0, index).split("\n").length

/** Comments and literals of a TypeScript file. Consecutive `//` lines count as one comment. */
const TOKENS =
  /\/\*[\s\S]*?\*\/|(?<!:)\/\/[^\n]*(?:\n[ \t]*\/\/[^\n]*)*|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`/g

/** Code directly before the title of a test or a group of tests. */
const BEFORE_TITLE = /(?:^|[^\w.])(?:it|test|describe)(?:\.\w+)*(?:\([^()]*\))?\(\s*$/

const passagesOfCode = (text: string): ReadonlyArray<Passage> =>
  [...text.matchAll(TOKENS)].flatMap(({ 0: token, index }): ReadonlyArray<Passage> => {
    const line = lineAt(text, index)
    if (token.startsWith("/")) {
      const words = token.replace(/^\/\*+|\*\/$/g, "").replace(/(^|\n)[ \t]*(?:\*|\/\/)/g, "$1")
      return [{ line, text: words, kind: "comment" }]
    }
    const literal = token.slice(1, -1).replace(/\$\{[^{}]*\}/g, "…")
    if (!/\s/.test(literal)) return []
    const isTitle = BEFORE_TITLE.test(text.slice(Math.max(0, index - 80), index))
    return [{ line, text: literal, kind: isTitle ? "title" : "message" }]
  })

/** The comments of an SQL file, and its literals, which describe views and columns. */
const passagesOfSql = (text: string): ReadonlyArray<Passage> =>
  [...text.matchAll(/--[^\n]*(?:\n[ \t]*--[^\n]*)*|'(?:[^']|'')*'/g)].map(({ 0: token, index }) => ({
    line: lineAt(text, index),
    text: token.replace(/(^|\n)[ \t]*--|^'|'$/g, "$1"),
    kind: token.startsWith("--") ? "comment" : "message",
  }))

/** Paragraphs, list items and table cells of a Markdown file, without its code blocks. */
const passagesOfMarkdown = (text: string): ReadonlyArray<Passage> => {
  const prose = text.replace(/^```[\s\S]*?^```/gm, block => block.replace(/[^\n]/g, ""))
  return [...prose.matchAll(/(?:^|(?<=\n))[^\n]+(?:\n(?!\s*(?:[-*|#>]|\d+\.)\s?)[^\n]+)*/g)].flatMap(
    ({ 0: block, index }) =>
      block
        .split(/(?<!\\)\|/)
        .map(cell => ({ line: lineAt(prose, index), text: cell, kind: "prose" as const })),
  )
}

/** The comments of a unit, a container file or a settings file: its lines that begin with `#`. */
const passagesOfSettings = (text: string): ReadonlyArray<Passage> =>
  [...text.matchAll(/^[ \t]*#[^\n]*(?:\n[ \t]*#[^\n]*)*/gm)].map(({ 0: token, index }) => ({
    line: lineAt(text, index),
    text: token.replace(/^[ \t]*#/gm, ""),
    kind: "comment",
  }))

const passagesOf = (path: string): ReadonlyArray<Passage> => {
  const text = readFileSync(new URL(path, ROOT), "utf8")
  if (path.endsWith(".md")) return passagesOfMarkdown(text)
  if (path.endsWith(".sql")) return passagesOfSql(text)
  return path.endsWith(".ts") ? passagesOfCode(text) : passagesOfSettings(text)
}

/** Sentences of a passage. Quoted words and code are mentions, not uses: each becomes one `…`. */
const sentencesOf = ({ text }: Passage): ReadonlyArray<string> =>
  text
    .replace(/`[^`]*`|\\?"[^"]*"|“[^”]*”/g, "…")
    .replace(/<\/?[a-zA-Z][^<>]*>|\\n|\n\s*\n|(?:^|\s)--\s/g, "¶")
    .split(/¶|(?<=[.!?][)*_]*)\s+/)
    .map(sentence =>
      sentence
        .replace(/^[\s*_#>(-]+|^\s*\d+\.\s+/g, "")
        .replace(/\s+/g, " ")
        .trim(),
    )
    .filter(sentence => sentence !== "")

const HEADLESS = /^(?:What|Whatever|Who|Whom|Whose|Whoever|Of|Where|Wherever|Whether)\b(?![-.])/
const PEOPLE = /\b(?:nobody|somebody|whoever|whomever)\b|\bwho (?:is|are) told\b/i

/** Names the fault in a sentence, with its remedy. */
const faultOf = (sentence: string, isFirst: boolean, kind: Passage["kind"]): string | undefined => {
  const isLowerCaseStart = isFirst && (kind === "comment" || kind === "title")
  const start = isLowerCaseStart ? sentence.charAt(0).toUpperCase() + sentence.slice(1) : sentence
  const [first] = HEADLESS.exec(start) ?? []
  if (first !== undefined && !/\?[)*_]*$/.test(sentence))
    return `begins with "${first}": begin with the subject, a verb, or a noun to search for`
  const [person] = PEOPLE.exec(sentence) ?? []
  return person === undefined
    ? undefined
    : `says "${person}": name the process, the caller, the login or the reader`
}

const faultsOf = (path: string): ReadonlyArray<string> =>
  passagesOf(path).flatMap(passage =>
    sentencesOf(passage).flatMap((sentence, i) => {
      const fault = faultOf(sentence, i === 0, passage.kind)
      return fault === undefined ? [] : [`${path}:${passage.line} ${fault}\n    ${sentence}`]
    }),
  )

const filesBelow = (path: string): ReadonlyArray<string> =>
  statSync(new URL(path, ROOT)).isDirectory()
    ? readdirSync(new URL(`${path}/`, ROOT), { recursive: true, encoding: "utf8" })
        .filter(file => /\.(?:ts|sql|md|service|timer)$/.test(file))
        .map(file => `${path}/${file}`)
    : [path]

describe("the prose", () => {
  it.each(PLACES)("in %s follows the rule of plain English", path => {
    const faults = filesBelow(path).flatMap(faultsOf)
    expect(faults, `\n${faults.join("\n")}\n`).toEqual([])
  })
})
