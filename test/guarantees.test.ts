import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"

/** The promises are written in two places and shown in many: none may be forgotten, and no reference may dangle. */

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8")

const PROMISES = 14

/** Number → title of the promises in the README's list. */
const stated = new Map(
  [...read("README.md").matchAll(/^(\d+)\. \*\*(.+?)\*\*/gm)].map(match => [Number(match[1]), match[2]!]),
)

const sections = read("docs/guarantees.md")
  .split(/^## /m)
  .slice(1)
  .map(section => {
    const [, number, title] = /^(\d+)\. (.+)$/m.exec(section) ?? []
    const tests = [...section.matchAll(/^- (test\/\S+): "(.+)"$/gm)]
    return { number: Number(number), title: title ?? "", text: section, tests }
  })

/** The tests of a file that `npm test` runs. */
const quickTestsIn = (file: string) =>
  /^test\/faults\/|\.slow\.test\.ts$/.test(file)
    ? ""
    : read(file).replace(/^( *)slow\(\(\) => \{\n[\s\S]*?\n\1\}\)$/gm, "")

describe("the promises", () => {
  it("are stated in the README, each in a line, and explained in the same order", () => {
    expect([...stated.keys()]).toEqual(Array.from({ length: PROMISES }, (_, i) => i + 1))
    expect(sections.map(({ number }) => number)).toEqual([...stated.keys()])
    for (const { number, title } of sections)
      expect(stated.get(number)?.replace(/\.$/, "").toLowerCase()).toContain(
        title.toLowerCase().split(",")[0],
      )
  })

  it.each(sections.map(section => [`${section.number}. ${section.title}`, section] as const))(
    "%s is shown by tests that there are",
    (_, { text, tests }) => {
      expect(text).toContain("Shown by:")
      expect(tests.length).toBeGreaterThan(0)
      for (const [, file, title] of tests) {
        expect(existsSync(new URL(`../${file}`, import.meta.url)), file).toBe(true)
        expect(read(file!), `${file}: ${title}`).toContain(title)
      }
      expect(tests.filter(([, file, title]) => quickTestsIn(file!).includes(title!))).not.toEqual([])
    },
  )
})
