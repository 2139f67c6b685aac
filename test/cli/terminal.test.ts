import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, Redacted, TestClock } from "effect"
import { waiting } from "../../src/cli/terminal/waiting.ts"
import { connect } from "../../src/postgres/connect.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, hasTerminals, sandboxEnvironment } from "../support/cli.ts"
import { listPath, STREAM_NAMES } from "../support/lists.ts"
import { testDatabase } from "../support/postgres.ts"
import { holdUp, MIGRATED, SMALL } from "../support/warehouse.ts"

/** Tests the output on a terminal. */

const HIDE_CURSOR = "\u001b[?25l"
const SHOW_CURSOR = "\u001b[?25h"
const ERASE_LINE = "\u001b[2K"

const parts = Effect.gen(function* () {
  const { ownerUrl } = yield* testDatabase()
  const sandbox = yield* start(SMALL)
  const program = yield* cli({ ...sandboxEnvironment(sandbox), ...databaseEnvironment(ownerUrl) })
  return { sandbox, ...program }
})

// Skipped, and counted as skipped, if no terminal can be created. On Linux `script` of util-linux creates
// one.
describe.skipIf(!hasTerminals).concurrent("sync on a terminal", () => {
  it.scopedLive("shows a line per stream, and keeps its last state above the summary", () =>
    Effect.gen(function* () {
      const { onTerminal } = yield* parts
      const { code, stdout } = yield* (yield* onTerminal(["sync", "--migrate"])).ended
      expect(code).toBe(0)
      const summary = stdout.indexOf("┌")
      const end = stdout.slice(0, summary)
      for (const stream of STREAM_NAMES) expect(end).toMatch(new RegExp(`✔ default/${stream} `))
      expect(end).toMatch(/120 read, 120 new, 0 changed, \d+(\.\d)? s/)
      // The log reports changes of the database and discovered paths. The live lines show the progress.
      for (const line of end.match(/INFO .*/g) ?? [])
        expect(line).toMatch(/: found at \/api\/|bringing the database up to date: /)
      expect(stdout.slice(summary)).not.toContain(HIDE_CURSOR)
      expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR))
    }),
  )

  it.scopedLive("records and shows the interrupted streams on Ctrl-C, and shows the cursor again", () =>
    Effect.gen(function* () {
      const { onTerminal, run, sandbox } = yield* parts
      sandbox.setFault(({ path }) => (path === listPath("customers") ? { hang: true } : undefined))
      const running = yield* onTerminal(["sync", "--migrate"])
      yield* running.printed("✔ default/transactions")
      yield* running.printed("waits for the streams before it")
      const { code, stdout } = yield* running.stop("SIGINT")
      expect(code).toBe(130)
      expect(stdout).toContain("■ default/customers")
      expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR))
      const status = yield* run(["status", "--json", "--stream", "customers"])
      expect(JSON.parse(status.stdout)).toMatchObject([{ lastRunStatus: "interrupted", heldBy: null }])
    }),
  )

  it.scopedLive("prints help in colours, unless NO_COLOR is set", () =>
    Effect.gen(function* () {
      const { onTerminal } = yield* parts
      expect((yield* (yield* onTerminal(["sync", "--help"])).ended).stdout).toContain("\u001b[")
      expect((yield* (yield* onTerminal(["sync", "--help"], { NO_COLOR: "1" })).ended).stdout).not.toContain(
        "\u001b[",
      )
    }),
  )

  it.scopedLive("shows the activity of a slow command, and removes the line afterwards", () =>
    Effect.gen(function* () {
      const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
      const { onTerminal } = yield* cli({
        ...databaseEnvironment(ownerUrl),
        PAYCOMBAT_READER_URL: Redacted.value(readerUrl),
      })
      const letGo = yield* holdUp(yield* connect(ownerUrl), "sync.stream_runs", "ACCESS EXCLUSIVE")
      const running = yield* onTerminal(["query", "--csv", "SELECT 7 + count(*) FROM freshness"])
      yield* running.printed("… running the statement: ")
      yield* letGo
      const { code, stdout } = yield* running.ended
      expect(code).toBe(0)
      expect(stdout).toMatch(/… running the statement: [1-9]\d* s/)
      // Quick work shows no line.
      expect(stdout).not.toContain("… running the statement: 0 s")
      const after = stdout.slice(stdout.lastIndexOf("… running the statement"))
      const answer = after.indexOf("\n7")
      for (const control of [ERASE_LINE, SHOW_CURSOR]) {
        expect(after).toContain(control)
        expect(after.indexOf(control)).toBeLessThan(answer)
      }
    }),
  )
})

describe("a terminal that cannot redraw lines", () => {
  it.scoped("gets the activity of a command as log lines", () =>
    Effect.gen(function* () {
      const before = { isTTY: process.stderr.isTTY, TERM: process.env.TERM }
      Object.assign(process.stderr, { isTTY: true })
      process.env.TERM = "dumb"
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          Object.assign(process.stderr, { isTTY: before.isTTY })
          if (before.TERM === undefined) delete process.env.TERM
          else process.env.TERM = before.TERM
        }),
      )
      const log: Array<string> = []
      const logger = Logger.make(({ message }) => void log.push(String(message)))
      yield* waiting("reading", () => Effect.never).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Effect.forkScoped,
      )
      yield* TestClock.adjust("20 seconds")
      expect(log).toEqual([expect.stringMatching(/^reading: \d+ s$/)])
    }),
  )
})
