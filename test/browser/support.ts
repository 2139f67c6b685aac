import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { type Browser, chromium, type Page } from "playwright-core"
import { inject } from "vitest"

/** Drives a real headless browser, and records what people and machines notice about a page. */

/** Widths in CSS pixels: the narrowest phone still sold, and a laptop. */
export const PHONE_WIDTH = 360
export const DESKTOP_WIDTH = 1280
const HEIGHT = 800

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** Starts a browser that is closed with the scope. */
export const browser: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: inject("browserProgram"),
      // The package's own list is for a cloud's sandbox, and switches the browser's own checks off.
      args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"],
      env: { ...(process.env as Record<string, string>), ...inject("browserEnvironment") },
    }),
  ),
  opened => Effect.promise(() => opened.close()),
)

export interface PageOptions {
  readonly width?: number
  readonly height?: number
  /**
   * Decides whether a page may request this address. A refused request is stopped and counts as a problem. If
   * absent, every address is allowed.
   */
  readonly mayAsk?: (url: string) => boolean
  /** False disables the page's scripts. They run by default. */
  readonly javaScript?: boolean
}

export interface Visit {
  readonly page: Page
  /**
   * Errors and warnings on the console, exceptions, requests that failed or were stopped. Empty for a sound
   * page.
   */
  readonly problems: ReadonlyArray<string>
  /** Every requested address, in order. */
  readonly requests: ReadonlyArray<string>
}

/** Opens an empty page in a new profile, closed with the scope. */
export const openPage = (
  opened: Browser,
  { width = DESKTOP_WIDTH, height = HEIGHT, mayAsk, javaScript = true }: PageOptions = {},
): Effect.Effect<Visit, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.acquireRelease(
      Effect.promise(() =>
        opened.newContext({ viewport: { width, height }, javaScriptEnabled: javaScript, timezoneId: "UTC" }),
      ),
      made => Effect.promise(() => made.close()),
    )
    const problems: Array<string> = []
    const requests: Array<string> = []
    const page = yield* Effect.promise(() => context.newPage())
    page.on("console", said => {
      if (["error", "warning"].includes(said.type())) problems.push(`${said.type()}: ${said.text()}`)
    })
    page.on("pageerror", error => problems.push(`exception: ${error.message}`))
    page.on("request", request => requests.push(request.url()))
    page.on("requestfailed", request =>
      problems.push(`request failed: ${request.url()} ${request.failure()?.errorText ?? ""}`),
    )
    if (mayAsk !== undefined)
      yield* Effect.promise(() =>
        context.route("**/*", route =>
          mayAsk(route.request().url()) ? route.continue() : route.abort("blockedbyclient"),
        ),
      )
    return { page, problems, requests }
  })

/**
 * Opens an address, and checks that text is visible: without a font the page would have no overflow and no
 * contrast problem.
 */
export const go = (page: Page, url: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    await page.goto(url)
    await page.getByRole("heading").first().waitFor({ state: "visible" })
  })

interface AxeResults {
  readonly violations: ReadonlyArray<{
    readonly id: string
    readonly help: string
    readonly nodes: ReadonlyArray<{
      readonly target: ReadonlyArray<string>
      readonly failureSummary?: string
    }>
  }>
}

/** Runs axe for WCAG 2.2 A and AA and its best practices, and returns the violations. Needs scripts. */
export const violations = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    await page.evaluate(AXE)
    const results = (await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as AxeResults
    return results.violations.flatMap(({ id, help, nodes }) =>
      nodes.map(node => `${id} (${help}): ${node.target.join(" ")} ${node.failureSummary ?? ""}`),
    )
  })

/** Finds the elements that overflow the page to the right, so that a reader would have to scroll sideways. */
export const overflowing = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(
    () =>
      page.evaluate(`(() => {
        const width = document.documentElement.clientWidth
        if (document.documentElement.scrollWidth <= width) return []
        return [...document.querySelectorAll("body *")]
          .filter(element => element.getBoundingClientRect().right > width + 1)
          .slice(0, 10)
          .map(element => element.tagName + "." + element.className + " " + (element.textContent ?? "").slice(0, 40))
      })()`) as Promise<ReadonlyArray<string>>,
  )

/** Takes a screenshot of the whole page, and returns its path. */
export const picture = (page: Page, name: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const path = join(inject("pictureDirectory"), `${name}.png`)
    await page.screenshot({ path, fullPage: true })
    return path
  })
