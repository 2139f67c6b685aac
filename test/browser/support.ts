import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { type Browser, chromium, type Page } from "playwright-core"
import { inject } from "vitest"

/** A real browser, headless, and what people and machines notice about a page in it. */

/** Widths in CSS pixels: the narrowest phone still sold, and a laptop. */
export const PHONE_WIDTH = 360
export const DESKTOP_WIDTH = 1280
const HEIGHT = 800

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** A browser, closed with the scope. */
export const browser: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: inject("browserProgram"),
      // Not the package's own list: that is for a cloud's sandbox, and switches the browser's own checks off.
      args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"],
      env: { ...(process.env as Record<string, string>), ...inject("browserEnvironment") },
    }),
  ),
  opened => Effect.promise(() => opened.close()),
)

export interface PageOptions {
  readonly width?: number
  readonly height?: number
  /** Whether a page may ask for this address; what it may not is stopped, and is a problem. All is let through where absent. */
  readonly mayAsk?: (url: string) => boolean
  /** Whether scripts of the page run; they do unless told otherwise. */
  readonly javaScript?: boolean
}

export interface Visit {
  readonly page: Page
  /** Errors and warnings on the console, exceptions, requests that failed or were stopped: empty for a sound page. */
  readonly problems: ReadonlyArray<string>
  /** Every address that was asked for, in order. */
  readonly requests: ReadonlyArray<string>
}

/** An empty page in a profile of its own, closed with the scope. */
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

/** Goes there, and sees to it that text is shown: without a font none is, and then nothing sticks out or is too pale. */
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

/** What axe finds wrong for people who see, hear or handle otherwise: WCAG 2.2 A and AA, and its best practices. Needs scripts to run. */
export const violations = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    await page.evaluate(AXE)
    const results = (await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as AxeResults
    return results.violations.flatMap(({ id, help, nodes }) =>
      nodes.map(node => `${id} (${help}): ${node.target.join(" ")} ${node.failureSummary ?? ""}`),
    )
  })

/** Elements that stick out of the page to the right: a reader would have to scroll sideways for them. */
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

/** Takes a picture of the whole page; where it lies. */
export const picture = (page: Page, name: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const path = join(inject("pictureDirectory"), `${name}.png`)
    await page.screenshot({ path, fullPage: true })
    return path
  })
