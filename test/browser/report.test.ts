import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import { connect } from "../../src/postgres/connect.ts"
import { page as reportPage } from "../../src/report/page.ts"
import { figuresOf, freshnessRule } from "../../src/report/report.ts"
import { type TestDatabase, temporaryDirectory, testDatabase } from "../support/postgres.ts"
import { bookRuns, fill, HOSTILE } from "../support/report.ts"
import { MIGRATED } from "../support/warehouse.ts"
import {
  browser,
  DESKTOP_WIDTH,
  go,
  openPage,
  overflowing,
  PHONE_WIDTH,
  picture,
  violations,
} from "./support.ts"

/**
 * The report in a real browser: opened from a file, on a laptop, on a phone, on paper, and by a screen
 * reader.
 */

const FILTER = { accounts: [], currencies: [] }

const written = (database: TestDatabase, filter = FILTER) =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    const file = join(directory, "report.html")
    const text = reportPage(
      yield* figuresOf(database.readerUrl, filter, { isDemo: false, rule: yield* freshnessRule() }),
    )
    writeFileSync(file, text)
    return pathToFileURL(file).href
  })

const CASES = {
  "a business of two accounts and many currencies": (database: TestDatabase) =>
    Effect.flatMap(connect(database.ownerUrl), sql => fill(sql, { accounts: ["eu", "apac"], days: 30 })),
  "one small account": (database: TestDatabase) =>
    Effect.flatMap(connect(database.ownerUrl), sql =>
      fill(sql, { accounts: ["default"], days: 3, currencies: ["EUR"], isSound: true }),
    ),
  "an account that was read and is empty": (database: TestDatabase) =>
    Effect.flatMap(connect(database.ownerUrl), sql => bookRuns(sql, "default", {})),
  "nothing at all": () => Effect.void,
} as const

describe("the report in a browser", () => {
  for (const [title, arrange] of Object.entries(CASES))
    it.scopedLive(`has no request, no console error, no overflow and no axe violation for ${title}`, () =>
      Effect.gen(function* () {
        const database = yield* testDatabase({ template: MIGRATED })
        yield* arrange(database)
        const url = yield* written(database)
        const opened = yield* browser
        const name = title.replaceAll(" ", "-")
        for (const width of [DESKTOP_WIDTH, PHONE_WIDTH]) {
          const { page, problems, requests } = yield* openPage(opened, {
            width,
            mayAsk: asked => asked === url,
          })
          yield* go(page, url)
          expect(yield* overflowing(page), `${width} pixels`).toEqual([])
          // Opens the tables behind the charts, too.
          yield* Effect.promise(() =>
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })"),
          )
          expect(yield* overflowing(page), `${width} pixels, all open`).toEqual([])
          expect(yield* violations(page)).toEqual([])
          yield* Effect.promise(() =>
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = false })"),
          )
          yield* picture(page, `report-${name}-${width}`)
          expect(problems).toEqual([])
          expect(requests).toEqual([url])
        }
      }),
    )

  it.scopedLive("is complete without scripts, and shows hostile text as text", () =>
    Effect.gen(function* () {
      const database = yield* testDatabase({ template: MIGRATED })
      yield* fill(yield* connect(database.ownerUrl), { accounts: ["default"], days: 5, currencies: ["EUR"] })
      const url = yield* written(database)
      const { page, problems } = yield* openPage(yield* browser, {
        mayAsk: asked => asked === url,
        javaScript: false,
      })
      yield* go(page, url)
      expect(problems).toEqual([])
      for (const heading of ["KYC gaps: customers not ready for a wallet", "Settlements", "Balances"])
        expect(
          yield* Effect.promise(() => page.getByRole("heading", { name: heading, exact: true }).count()),
        ).toBe(1)
      expect(yield* Effect.promise(() => page.getByText(HOSTILE).count())).toBeGreaterThan(0)
      expect(yield* Effect.promise(() => page.locator("script, iframe, img, link, base").count())).toBe(0)
      expect(yield* Effect.promise(() => page.title())).toMatch(/^PayCombat report, /)
    }),
  )

  it.scopedLive("loads and runs nothing even if hostile text becomes markup", () =>
    Effect.gen(function* () {
      const database = yield* testDatabase({ template: MIGRATED })
      const url = yield* written(database)
      const file = new URL(url)
      const broken = readFileSync(file, "utf8").replace(
        "</main>",
        "<img src='http://192.0.2.1/x.png'><script>document.title = 'run'</script><style>@import 'http://192.0.2.1/x.css'</style></main>",
      )
      writeFileSync(file, broken)
      const { page, problems } = yield* openPage(yield* browser)
      yield* go(page, url)
      // The browser reports a violation asynchronously.
      const told = (problem: RegExp) =>
        Effect.promise(() =>
          expect.poll(() => problems, { timeout: 30_000 }).toContainEqual(expect.stringMatching(problem)),
        )
      yield* told(/^request failed: http:..192.0.2.1.x.png csp$/)
      expect(yield* Effect.promise(() => page.title())).not.toBe("run")
      yield* told(/Content Security Policy/)
    }),
  )

  it.scopedLive("prints on A4, with every chart whole on one page", () =>
    Effect.gen(function* () {
      const database = yield* testDatabase({ template: MIGRATED })
      yield* fill(yield* connect(database.ownerUrl), { accounts: ["eu", "apac"], days: 60 })
      const url = yield* written(database)
      const { page } = yield* openPage(yield* browser, { width: 794, height: 1123 })
      yield* go(page, url)
      const path = join(inject("pictureDirectory"), "report.pdf")
      const pdf = yield* Effect.promise(() => page.pdf({ path, format: "A4", preferCSSPageSize: true }))
      expect(pdf.subarray(0, 5).toString()).toBe("%PDF-")
      expect(pdf.length).toBeGreaterThan(20_000)
      yield* Effect.promise(() => page.emulateMedia({ media: "print" }))
      // Closed tables are not printed, because they would double the paper. A reader who wants one opens it
      // first.
      const shown = Effect.promise(() =>
        page.evaluate(
          "[...document.querySelectorAll('.panel details table')].filter(one => one.checkVisibility()).length",
        ),
      )
      expect(yield* shown).toBe(0)
      expect(yield* overflowing(page)).toEqual([])
      const cut = yield* Effect.promise(() =>
        page.evaluate(
          "[...document.querySelectorAll('figure')].filter(one => getComputedStyle(one).breakInside !== 'avoid').length",
        ),
      )
      expect(cut).toBe(0)
      yield* picture(page, "report-print")
      yield* Effect.promise(() =>
        page.evaluate(
          "[...document.querySelectorAll('.panel details')].slice(0, 3).forEach(one => { one.open = true })",
        ),
      )
      expect(yield* shown).toBe(3)
      expect(yield* overflowing(page)).toEqual([])
      yield* picture(page, "report-print-open")
    }),
  )
})
