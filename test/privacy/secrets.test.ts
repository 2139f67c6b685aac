import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Cause, type Context, Effect, Exit, Inspectable, Logger, LogLevel, Redacted, Tracer } from "effect"
import { lineLogger } from "../../src/cli/terminal/logging.ts"
import { DROP, type Privacy } from "../../src/core/privacy.ts"
import { type Fault, type FaultHook, start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, sandboxEnvironment } from "../support/cli.ts"
import { everything, KEY, MARK, plantBadRecords, plantPeople } from "../support/people.ts"
import { testDatabase } from "../support/postgres.ts"
import { slow, slowUnless } from "../support/slow.ts"
import { bench, MIGRATED, SMALL } from "../support/warehouse.ts"

/** Everything that the program writes, searched for a known token, passwords, a key, and people. */

const TOKEN = "token-Qwertz-0123456789"

const HASH: Privacy = { mode: "hash", key: Redacted.make(KEY) }

/** Tables and columns that belong to a stored record, and may hold the record's data in the mode `keep`. */
const RECORDS = [
  "warehouse.customers",
  "warehouse.wallets",
  "warehouse.payouts",
  "warehouse.checkouts",
  "warehouse.checkout_items",
  "warehouse.checkout_fees",
  "warehouse.transactions",
  "sync.rejects",
]

const passwordOf = (url: Redacted.Redacted) => new URL(Redacted.value(url)).password

/** The lines that hold one of the words. */
const leaks = (lines: ReadonlyArray<string>, words: ReadonlyArray<string>) =>
  lines.filter(line => words.some(word => line.includes(word)))

/** A tracer that keeps what an exporter would be given, as text. */
const recording = (lines: Array<string>): Tracer.Tracer =>
  Tracer.make({
    context: f => f(),
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      lines.push(`span ${name}`)
      const span: Tracer.Span = {
        _tag: "Span",
        name,
        spanId: String(lines.length),
        traceId: "trace",
        parent,
        context: context as Context.Context<never>,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: (_, exit) =>
          void lines.push(
            `end ${name}: ${Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "done"}`,
          ),
        attribute: (key, value) => void lines.push(`attribute ${key}=${Inspectable.toStringUnknown(value)}`),
        event: (event, _, more) => void lines.push(`event ${event} ${Inspectable.toStringUnknown(more)}`),
        addLinks: () => undefined,
      }
      return span
    },
  })

/** Runs something with all that it logs and traces kept, at every level there is. */
const overheard = <A, E, R>(work: Effect.Effect<A, E, R>, lines: Array<string>) =>
  work.pipe(
    Effect.withTracer(recording(lines)),
    Logger.withMinimumLogLevel(LogLevel.All),
    Effect.provide(
      Logger.replace(
        Logger.defaultLogger,
        Logger.make(options => {
          lines.push(lineLogger.log(options))
          lines.push(Logger.stringLogger.log(options))
        }),
      ),
    ),
    Effect.exit,
    Effect.tap(exit =>
      Effect.sync(() => lines.push(JSON.stringify(exit), Inspectable.toStringUnknown(exit))),
    ),
  )

const echo = `the token ${TOKEN} of ${MARK} ${MARK}@example.com`
const isList = (path: string) => path.endsWith("/get-all")

const on =
  (matches: (path: string) => boolean, fault: Fault): FaultHook =>
  ({ path }) =>
    matches(path) ? fault : undefined

const FAULTS: ReadonlyArray<readonly [string, FaultHook | null]> = [
  ["nothing wrong", null],
  [
    "a token that is refused",
    on(() => true, {
      status: 401,
      body: { message: echo, error: { code: 401, name: echo, message: [echo] } },
    }),
  ],
  [
    "a refusal",
    on(isList, {
      status: 400,
      body: { success: false, error: { code: 400, name: "BAD_REQUEST", message: echo } },
    }),
  ],
  [
    "a refusal without JSON",
    on(isList, { status: 403, body: echo, headers: { "content-type": "text/plain", "x-echo": TOKEN } }),
  ],
  ["an envelope that says no", on(isList, { body: { status: false, message: echo, data: { email: echo } } })],
  ["a web page", on(isList, { body: `<html>${echo}</html>`, headers: { "content-type": "text/html" } })],
  ["a list of something else", on(isList, { body: { status: true, data: [{ name: echo }, echo, [echo]] } })],
  [
    "a readiness that is none",
    on(path => path.includes("wallet-is-ready"), {
      body: { status: true, data: { is_wallet_ready: echo, [MARK]: echo } },
    }),
  ],
  [
    "a readiness that is refused",
    on(path => path.includes("wallet-is-ready"), { status: 400, body: { message: echo } }),
  ],
]

/** The merchant's own reference of a customer is shown on purpose, in this view alone. */
const withoutReference = (line: string): string =>
  line.startsWith("analytics.customer:") ? line.replace(/"organization_reference_id": "[^"]*"/, "") : line

/** A bench whose sandbox serves known people and bad records. */
const populated = Effect.tap(
  bench({ token: TOKEN, customers: 12, transactions: 30, payouts: 12, checkouts: 12 }),
  ({ sandbox }) => {
    plantPeople(sandbox, 8)
    plantBadRecords(sandbox)
  },
)

describe("the program's messages and ledger", () => {
  for (const [index, given] of [...FAULTS].entries())
    slowUnless(index % 3 === 0, () => {
      it.scopedLive.each([given])("holds no secret and no personal data: %s", ([, fault]) =>
        Effect.gen(function* () {
          const { sandbox, sql, sync } = yield* populated
          sandbox.setFault(fault)
          const lines: Array<string> = []
          yield* overheard(sync({ account: { ratePerSecond: 10_000 } }), lines)
          expect(lines.filter(line => line.startsWith("span ")).length).toBeGreaterThan(1)
          const stored = yield* everything(sql, RECORDS)
          // Includes the views: none shows in clear the data stored in clear.
          if (fault === null)
            expect(stored.filter(line => line.startsWith("analytics.kyc_gap:")).length).toBeGreaterThan(0)
          lines.push(...stored.map(withoutReference))
          expect(leaks(lines, [TOKEN, MARK])).toEqual([])
        }),
      )
    })

  it.scopedLive("names no person in a trace, not even the witness of the look-ups", () =>
    Effect.gen(function* () {
      const { sandbox, sql, sync } = yield* bench({ customers: 3, transactions: 0, payouts: 0, checkouts: 0 })
      const only = ["customers", "wallet_readiness"]
      const people = [0, 1, 2].map(index => sandbox.idOf("customers", index))
      for (const index of people.keys()) sandbox.makeReady(index)
      yield* sync({ only })
      const asked = () => sandbox.requests.recent.filter(({ path }) => people.some(id => path.includes(id)))
      const before = asked().length
      sandbox.setFault(on(path => path.includes(people[0]!), { body: "none" }))
      yield* Effect.promise(
        () =>
          sql`UPDATE warehouse.wallet_readiness SET is_wallet_ready = false WHERE customer_id = ${people[0]!}`,
      )
      const lines: Array<string> = []
      yield* overheard(sync({ only }), lines)
      expect(asked().length).toBe(before + 2)
      const traced = lines.filter(line => /^(span|attribute|event|end) /.test(line))
      expect(traced.join("\n")).toContain("wallet-is-ready/{id}")
      expect(leaks(traced, people)).toEqual([])
    }),
  )

  slow(() => {
    it.scopedLive.each([
      ["hash", HASH],
      ["drop", DROP],
    ] as const)("with %s holds no personal data in any table either, whatever goes wrong", ([, privacy]) =>
      Effect.gen(function* () {
        const { sandbox, sql, sync } = yield* populated
        const lines: Array<string> = []
        for (const [, fault] of FAULTS) {
          sandbox.setFault(fault)
          yield* overheard(sync({ privacy, full: true }), lines)
        }
        lines.push(...(yield* everything(sql)))
        expect(leaks(lines, [TOKEN, MARK, KEY])).toEqual([])
      }),
    )
  })
})

/** Every file below a directory, as text. */
const filesIn = (directory: string): ReadonlyArray<readonly [string, string]> =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .map(path => [path, readFileSync(path, "latin1")] as const)

describe("the program as a process", () => {
  it.scopedLive(
    "prints no secret and no personal data, at the most verbose level, and has none in its title",
    () =>
      Effect.gen(function* () {
        const database = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* start({ ...SMALL, token: TOKEN })
        plantPeople(sandbox, 8)
        plantBadRecords(sandbox)
        const program = yield* cli({
          ...sandboxEnvironment(sandbox),
          ...databaseEnvironment(database.ownerUrl),
          PAYCOMBAT_READER_URL: Redacted.value(database.readerUrl),
          PAYCOMBAT_PII_KEY: KEY,
          PAYCOMBAT_LOG_LEVEL: "debug",
        })
        const said: Array<string> = []
        const run = (...args: ReadonlyArray<string>) =>
          Effect.map(program.run(args), ({ code, stdout, stderr }) => {
            said.push(...`${stdout}\n${stderr}`.split("\n"))
            return code
          })
        const running = yield* program.start(["sync", "--log-level", "debug"])
        const titles = spawnSync("ps", ["-o", "args=", "-p", String(running.process.pid)], {
          encoding: "utf8",
        }).stdout
        expect(titles).toContain("sync")
        said.push(titles)
        const { code, stdout, stderr } = yield* running.ended
        expect(code).toBe(0)
        said.push(stdout, stderr)
        expect(yield* run("query", "SELECT * FROM analytics.kyc_gap", "--csv")).toBe(0)
        expect(yield* run("query", "SELECT * FROM warehouse.customers")).toBe(1)
        sandbox.setFault(() => ({ status: 401, body: echo }))
        expect(yield* run("sync", "--json", "--full")).toBe(1)
        // It has bad news, and says so without the words that came with it.
        expect(yield* run("status")).toBe(1)
        const words = [TOKEN, KEY, MARK, passwordOf(database.ownerUrl), passwordOf(database.readerUrl)]
        expect(leaks(said, words)).toEqual([])
      }),
  )

  slow(() => {
    it.scopedLive("leaves no personal data in any file with hash: not even in Postgres' own", () =>
      Effect.gen(function* () {
        const sandbox = yield* start({ ...SMALL, token: TOKEN })
        plantPeople(sandbox, 8)
        plantBadRecords(sandbox)
        const program = yield* cli({
          ...sandboxEnvironment(sandbox),
          PAYCOMBAT_PII: "hash",
          PAYCOMBAT_PII_KEY: KEY,
        })
        // The bad records are too many among so few for figures that can be trusted.
        const { code, stdout, stderr } = yield* program.run(["sync"])
        expect([code, stdout + stderr]).toEqual([
          1,
          expect.stringContaining("The figures cannot be trusted: customers"),
        ])
        const files = filesIn(program.directory)
        expect(files.length).toBeGreaterThan(500)
        const found = files.filter(([, text]) => [TOKEN, KEY, MARK].some(word => text.includes(word)))
        expect(found.map(([path]) => path)).toEqual([])
        // The search does find what is there.
        expect(files.some(([, text]) => text.includes("hmac:"))).toBe(true)
      }),
    )
  })
})
