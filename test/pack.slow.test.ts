import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, posix } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { afterAll, beforeAll } from "vitest"
import { VERSION } from "../src/core/version.ts"
import { type Sandbox, start } from "../src/sandbox/sandbox.ts"
import { compile, type Installed, install, type Packed, PROJECT, pack } from "./support/package.ts"
import { runSql, type TestDatabase, testDatabase } from "./support/postgres.ts"
import { slow } from "./support/slow.ts"

/** Tests the package as users get it: its content, and that it works without the rest of this project. */

/** Room to grow; twice as much would be something that got in by mistake. Most of it is the bundled libraries. */
const UNPACKED_BYTES_MAX = 12_000_000

/** Licences that allow a package to be passed on within ours. */
const FREE = ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Unlicense"]

let directory: string
let packed: Packed
let installed: Installed

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "paycombat-pack-"))
  packed = await pack(directory)
  installed = await install(packed.tarball, directory)
})

afterAll(() => rm(directory, { recursive: true, force: true }))

const below = (path: string) =>
  readdirSync(join(PROJECT, path), { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => posix.join(entry.parentPath.slice(PROJECT.length).replaceAll("\\", "/"), entry.name))

slow(() => {
  describe("the package", () => {
    it("holds only the program, its migrations, its views and its documents", () => {
      const isBuilt = (path: string) => /^dist\/([\w-]+\.js|types\/.+\.d\.ts)$/.test(path)
      const built = packed.files.filter(isBuilt)
      expect(built).toEqual(
        expect.arrayContaining(["dist/main.js", "dist/index.js", "dist/types/index.d.ts"]),
      )
      const expected = [
        ...[".env.example", "package.json", "LICENSE"],
        ...["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "DECISIONS.md"],
        ...below("docs"),
        ...below("deploy"),
        ...below("drizzle").filter(path => !path.endsWith("_snapshot.json")),
        ...below("src/views"),
        ...built,
        "dist/THIRD_PARTY_LICENSES.txt",
      ]
      expect(packed.files).toEqual([...new Set(expected)].sort())
      expect(packed.unpackedSize).toBeLessThan(UNPACKED_BYTES_MAX)
    })

    it("holds the licence of each package that its program contains", () => {
      const licences = readFileSync(join(installed.home, "dist/THIRD_PARTY_LICENSES.txt"), "utf8")
      const { dependencies } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"))
      const headings = licences
        .split(/\n={80}\n/)
        .map(text => /^\s*(\S+) \S+ \((.+)\)\n\n\S[\s\S]{200}/.exec(text))
      const named = headings.map(heading => [heading?.[1], heading?.[2]])
      expect(named.map(([name]) => name)).toEqual(expect.arrayContaining(Object.keys(dependencies)))
      expect(named.filter(([, licence]) => licence === undefined || !FREE.includes(licence))).toEqual([])
    })

    it("holds every document that its documents link to", () => {
      const dangling = packed.files
        .filter(path => path.endsWith(".md"))
        .flatMap(path => {
          const text = readFileSync(join(PROJECT, path), "utf8")
          const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)].map(
            ([, link]) => link!,
          )
          return links
            .map(link => [path, posix.join(posix.dirname(path), link)] as const)
            .filter(([, target]) => !packed.files.includes(target))
        })
      expect(dangling).toEqual([])
    })
  })
})

const execute = promisify(execFile)

/** Environment with only the search path for programs. */
const environment = (more: Readonly<Record<string, string>> = {}) => ({
  PATH: process.env.PATH,
  HOME: directory,
  ...more,
})

/** Runs a command in the application, with the dependencies of the package only. */
const run = (command: string, args: ReadonlyArray<string>, more: Readonly<Record<string, string>> = {}) =>
  Effect.promise(() => execute(command, args, { cwd: installed.directory, env: environment(more) }))

const evaluate = (code: string) => run(process.execPath, ["--input-type=module", "--eval", code])

slow(() => {
  describe("the installed command line", () => {
    it.live("runs with npx, prints its version, and finds its migrations and views", () =>
      Effect.gen(function* () {
        const { stdout } = yield* run("npx", ["--offline", "--no-install", "paycombat-sync", "--version"])
        expect(stdout.trim()).toBe(VERSION)
        const { ownerUrl, readerUrl } = yield* testDatabase()
        const database = {
          DATABASE_URL: Redacted.value(ownerUrl),
          PAYCOMBAT_READER_URL: Redacted.value(readerUrl),
        }
        const migrated = yield* run(installed.program, ["migrate", "--json"], database)
        const { applied, views } = JSON.parse(migrated.stdout)
        expect([applied.length, views.length]).toEqual([
          below("drizzle").filter(path => path.endsWith(".sql")).length,
          below("src/views").length,
        ])
        const answer = yield* run(
          installed.program,
          ["query", "SELECT count(*) FROM analytics.freshness", "--json"],
          database,
        )
        expect(JSON.parse(answer.stdout)).toEqual([{ count: 0 }])
      }).pipe(Effect.scoped),
    )

    it.live("brings its own Postgres and sandbox: the demo works", () =>
      Effect.gen(function* () {
        const { stdout } = yield* run(installed.program, ["demo", "--json"])
        const { summary, answers } = JSON.parse(stdout)
        expect(summary.status).toBe("complete")
        expect(answers.every(({ rows }: { readonly rows: ReadonlyArray<unknown> }) => rows.length > 0)).toBe(
          true,
        )
        expect(existsSync(join(installed.directory, ".paycombat-demo/postgres/server.json"))).toBe(true)
      }),
    )
  })
})

/** Read in a moment, at the polite rate that the examples have. */
const TINY = { customers: 5, transactions: 30, payouts: 4, checkouts: 3, days: 5 }

const DOCUMENT = readFileSync(join(PROJECT, "docs/embedding.md"), "utf8")
const EXAMPLES = [...DOCUMENT.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code!)

slow(() => {
  describe("imported by a host", () => {
    let sandbox: Sandbox
    const waitForExit = 100_000

    /** Starts a compiled example, waits until it has printed a text, and stops it. */
    const runExample = (name: string, database: TestDatabase, until: RegExp) =>
      Effect.promise(async () => {
        const child = spawn(process.execPath, [`built/${name}.js`], {
          cwd: installed.directory,
          env: environment({
            SHOP_PAYCOMBAT_TOKEN: sandbox.token,
            SHOP_PAYCOMBAT_URL: sandbox.url,
            SHOP_WAREHOUSE_URL: Redacted.value(database.ownerUrl),
            SHOP_READER_URL: Redacted.value(database.readerUrl),
            // The variables of a host's environment are not settings.
            PAYCOMBAT_PAGE_SIZE: "not a number",
            PAYCOMBAT_LOG_LEVEL: "error",
            DATABASE_URL: "postgres://nobody@127.0.0.1:1/nowhere",
          }),
        })
        const timer = setTimeout(() => child.kill("SIGKILL"), waitForExit)
        let said = ""
        for (const stream of [child.stdout, child.stderr])
          stream.setEncoding("utf8").on("data", text => {
            if (!until.test(said) && until.test(said + text)) child.kill("SIGTERM")
            said += text
          })
        const [code] = await once(child, "close")
        clearTimeout(timer)
        return { code, said }
      })

    const WRONG = `import { Redacted } from "effect"; import { layer, report } from "paycombat-sync"
layer({ accounts: [{ token: "clear" }], database: { dataDir: "x" } })
layer({ accounts: [], database: { dataDir: "x" }, rate: 1 })
layer({ accounts: [], database: {} })
layer({ accounts: [{ token: Redacted.make("t"), ratePerSecond: 5, paging: ["page"] }], database: { dataDir: "x" } })
report({ currency: "EUR" })
`
    let errors: ReadonlyArray<string>

    beforeAll(async () => {
      const files = Object.fromEntries(EXAMPLES.map((code, i) => [`example${i}.ts`, code]))
      errors = await compile(installed.directory, { ...files, "wrong.ts": WRONG })
    })

    it("has types that accept the examples, and refuse a token in clear and a misspelt setting", () => {
      expect(EXAMPLES.length).toBe(2)
      expect(errors.map(line => line.replace(/^(\S+\(\d+),.*(TS\d+).*/, "$1) $2"))).toEqual([
        "wrong.ts(2) TS2322",
        "wrong.ts(3) TS2353",
        "wrong.ts(4) TS2322",
        "wrong.ts(5) TS2322",
        "wrong.ts(6) TS2353",
      ])
    })

    it.live("runs the first example: one sync with promises, a query, and an end on SIGTERM", () =>
      Effect.gen(function* () {
        sandbox = yield* start(TINY)
        const database = yield* testDatabase()
        const { code, said } = yield* runExample("example0", database, /In Progress/)
        expect(said).toContain(`transactions: complete, ${TINY.transactions} records`)
        expect(said).toContain("[shop] INFO")
        expect(said).toMatch(/closed\n$/)
        expect(said).not.toContain(sandbox.token)
        expect(code).toBe(0)
        const rows = yield* Effect.promise(() =>
          runSql(
            database.ownerUrl,
            "SELECT account, count(*)::int, count(first_name)::int AS names FROM warehouse.customers GROUP BY 1",
          ),
        )
        expect(rows).toEqual([{ account: "eu", count: TINY.customers, names: 0 }])
      }).pipe(Effect.scoped),
    )

    it.live("runs the second example: serve with its own client, and an end on SIGTERM", () =>
      Effect.gen(function* () {
        sandbox = yield* start(TINY)
        const database = yield* testDatabase()
        const { code, said } = yield* runExample("example1", database, /run complete/)
        expect(said).toMatch(/^\d+ migrations/)
        expect(said).toMatch(/listening on http:\/\/127\.0\.0\.1:\d+/)
        expect(said).toMatch(/closed\n$/)
        expect(code).toBe(0)
      }).pipe(Effect.scoped),
    )

    it("has the package's versions in its documentation", () => {
      const { dependencies } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8"))
      const told = [...DOCUMENT.matchAll(/(?<= |`)(effect|@effect\/platform)@(\d[\d.]*\d)/g)]
      expect(told.map(([, name, version]) => [name, version])).toEqual([
        ["effect", dependencies.effect],
        ["@effect/platform", dependencies["@effect/platform"]],
      ])
    })

    it.live("can import the documented names, and no other file of the package", () =>
      Effect.gen(function* () {
        const { stdout } = yield* evaluate(
          'import * as api from "paycombat-sync"; console.log(Object.keys(api).join(" "))',
        )
        expect(stdout.trim().split(" ")).toEqual([
          ...["ConfigurationError", "LeaseError", "Progress", "Warehouse", "WarehouseError"],
          ...[
            "accountsOfCustomer",
            "backup",
            "doctor",
            "eraseCustomer",
            "layer",
            "migrate",
            "pending",
            "query",
          ],
          ...["rebuild", "reject", "rejects", "replay", "report", "reportPage", "restore", "serve", "status"],
          ...["sync", "telemetry"],
        ])
        const codes = yield* evaluate(
          `const inner = ["paycombat-sync/dist/App.js", "paycombat-sync/package.json", "paycombat-sync/dist/Pipeline.js"]
         console.log(JSON.stringify(await Promise.all(inner.map(path => import(path).then(() => "open", error => error.code)))))`,
        )
        expect(JSON.parse(codes.stdout)).toEqual(Array(3).fill("ERR_PACKAGE_PATH_NOT_EXPORTED"))
      }),
    )
  })
})
