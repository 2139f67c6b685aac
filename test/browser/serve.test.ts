import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import { type Sandbox, start as startSandbox } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, type Environment, sandboxEnvironment } from "../support/cli.ts"
import { listPath } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"
import { browser, go, openPage, overflowing, PHONE_WIDTH, violations } from "./support.ts"

/** Tests the status page in a real browser. */

/** Directory for screenshots, for a person to look at; none are taken if it is not set. */
const PICTURES = process.env.SCREENSHOTS

const picture = (page: Page, name: string) =>
  Effect.promise(async () => {
    if (PICTURES === undefined) return
    mkdirSync(PICTURES, { recursive: true })
    await page.screenshot({ path: join(PICTURES, `serve-${name}.png`), fullPage: true })
  })

const serving = (sandbox: Pick<Sandbox, "url" | "token">, schedule: string, more: Environment = {}) =>
  Effect.gen(function* () {
    const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
    const program = yield* cli({ ...sandboxEnvironment(sandbox), ...databaseEnvironment(ownerUrl) })
    const running = yield* program.start(["serve"], {
      PAYCOMBAT_SCHEDULE: schedule,
      PAYCOMBAT_HTTP_PORT: "0",
      PAYCOMBAT_PAGE_SIZE: "10",
      ...more,
    })
    yield* running.printed("listening on http://")
    return { ...running, url: /listening on (http:\/\/[^\s;"]+)/.exec(running.stderr())![1]! }
  })

const shown = (page: Page, text: string) =>
  Effect.promise(() => page.getByText(text, { exact: false }).first().waitFor({ state: "visible" }))

const EVERY_TWO_SECONDS = "*/2 * * * * *"
const YEARLY = "0 0 1 1 *"

describe("the status page", () => {
  it.scopedLive("shows when figures can be trusted and when they no longer can, without a reload", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox(SMALL)
      const { url } = yield* serving(sandbox, EVERY_TWO_SECONDS)
      const opened = yield* browser
      const mayAsk = (asked: string) => asked.startsWith(url)
      const { page, problems, requests } = yield* openPage(opened, { mayAsk })
      yield* go(page, url)
      yield* shown(page, "The figures can be trusted")
      yield* Effect.promise(() => page.evaluate("window.notLoadedAgain = true"))
      expect(yield* violations(page)).toEqual([])
      yield* picture(page, "good")

      sandbox.setFault(({ path }) => (path === listPath("payouts") ? { status: 403 } : undefined))
      yield* shown(page, "The figures cannot be trusted: payouts (failed)")
      yield* shown(page, "Problems")
      expect(yield* Effect.promise(() => page.title())).toContain("cannot be trusted")
      expect(yield* violations(page)).toEqual([])
      yield* picture(page, "bad")
      expect(yield* Effect.promise(() => page.evaluate("window.notLoadedAgain"))).toBe(true)
      expect(problems).toEqual([])
      expect(requests.every(mayAsk)).toBe(true)

      const phone = yield* openPage(opened, { width: PHONE_WIDTH })
      yield* go(phone.page, url)
      expect(yield* overflowing(phone.page)).toEqual([])
      expect(yield* violations(phone.page)).toEqual([])
      yield* picture(phone.page, "phone")

      const dark = yield* openPage(opened)
      yield* Effect.promise(() => dark.page.emulateMedia({ colorScheme: "dark" }))
      yield* go(dark.page, url)
      expect(yield* violations(dark.page)).toEqual([])
      yield* picture(dark.page, "dark")
    }),
  )

  it.scopedLive("shows a run in progress, with and without scripts", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox({ ...SMALL, totals: "total" })
      sandbox.setFault(({ path, query }) =>
        path === listPath("transactions") && Number(query.get("page")) >= 6 ? { hang: true } : undefined,
      )
      const { url, stop } = yield* serving(sandbox, YEARLY)
      const opened = yield* browser
      const { page, problems } = yield* openPage(opened)
      yield* go(page, url)
      yield* shown(page, "In progress")
      yield* shown(page, "50 of 120")
      yield* shown(page, "Not complete yet")
      expect(yield* violations(page)).toEqual([])
      expect(yield* Effect.promise(() => page.locator("progress").count())).toBeGreaterThan(0)
      yield* picture(page, "under-way")
      expect(problems).toEqual([])

      const plain = yield* openPage(opened, { javaScript: false, width: PHONE_WIDTH })
      yield* go(plain.page, url)
      expect(yield* Effect.promise(() => plain.page.locator("body").innerText())).toContain("In progress")
      expect(yield* overflowing(plain.page)).toEqual([])
      yield* picture(plain.page, "under-way-phone")

      // From now on the screen is out of date, and the page says so.
      yield* stop("SIGTERM")
      yield* shown(page, "No answer from paycombat-sync")
      yield* picture(page, "lost")
    }),
  )

  it.scopedLive("shows three accounts: one in a run, one that fails, and one that is done", () =>
    Effect.gen(function* () {
      const [apac, eu, us] = yield* Effect.all(
        ["apac", "eu", "us"].map(token => startSandbox({ ...SMALL, token, totals: "total" })),
      )
      eu!.setFault(({ path, query }) =>
        path === listPath("transactions") && Number(query.get("page")) >= 6 ? { hang: true } : undefined,
      )
      us!.setFault(({ path }) => (path === listPath("payouts") ? { status: 403 } : undefined))
      const { url } = yield* serving(apac!, EVERY_TWO_SECONDS, {
        PAYCOMBAT_ACCOUNTS: "apac,eu,us",
        PAYCOMBAT_TOKEN_APAC: apac!.token,
        PAYCOMBAT_TOKEN_EU: eu!.token,
        PAYCOMBAT_TOKEN_US: us!.token,
        PAYCOMBAT_BASE_URL_EU: eu!.url,
        PAYCOMBAT_BASE_URL_US: us!.url,
      })
      const opened = yield* browser
      const { page, problems } = yield* openPage(opened)
      yield* go(page, url)
      yield* shown(page, "incremental run of eu, started")
      yield* shown(page, "50 of 120")
      const line = (account: string) =>
        page.locator("#accounts tr", { has: page.getByRole("rowheader", { name: account, exact: true }) })
      const says = (account: string, text: string) =>
        Effect.promise(() => line(account).getByText(text).waitFor({ state: "visible" }))
      yield* says("apac", "can be trusted")
      yield* says("us", "cannot be trusted")
      yield* says("eu", "incremental run, for")
      expect(yield* violations(page)).toEqual([])
      yield* picture(page, "accounts")
      expect(problems).toEqual([])

      const phone = yield* openPage(opened, { width: PHONE_WIDTH })
      yield* go(phone.page, url)
      expect(yield* overflowing(phone.page)).toEqual([])
      expect(yield* violations(phone.page)).toEqual([])
      yield* picture(phone.page, "accounts-phone")
    }),
  )
})
