import { randomBytes } from "node:crypto"
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Redacted, Schedule, Scope } from "effect"
import postgres from "postgres"
import { afterAll, beforeAll, inject } from "vitest"
import type { ConfigurationError } from "../../src/core/errors.ts"
import { WarehouseError } from "../../src/core/errors.ts"
import {
  type EmbeddedOptions,
  type EmbeddedServer,
  embeddedPostgres,
} from "../../src/postgres/embedded/embeddedPostgres.ts"

/** The Postgres that is shipped, and the oldest that is promised. */
export type PostgresVersion = "18" | "14"

export interface TestDatabase {
  readonly ownerUrl: Redacted.Redacted
  readonly readerUrl: Redacted.Redacted
}

/**
 * Content of a fresh database. `prepare` runs once per test run and version for each `name`, on a template from which
 * the databases are cloned; it must close its connections.
 */
export interface Template {
  readonly name: string
  /** The template that this template is cloned from. */
  readonly from?: Template
  readonly prepare: (ownerUrl: Redacted.Redacted) => Promise<unknown>
}

export interface TestDatabaseOptions {
  readonly version?: PostgresVersion
  readonly template?: Template
}

/** The module that a version's programs are looked up from. */
export const resolveFrom = (version: PostgresVersion): string =>
  version === "18" ? import.meta.url : createRequire(import.meta.url).resolve("postgres-14")

const serverOptions = (version: PostgresVersion): EmbeddedOptions => ({
  resolveFrom: resolveFrom(version),
  settings: {
    // The data is worth nothing, and several test files share the server.
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    max_connections: "200",
    // A database lives for a second: vacuum would only hold up its end.
    autovacuum: "off",
    jit: "off",
    // A login costs as much as a short test otherwise. The oldest version cannot be told.
    ...(version === "18" ? { scram_iterations: "1" } : {}),
  },
  bootstrap: ["ALTER ROLE paycombat CREATEDB"],
})

/** This worker's share of the run's servers. Never let go: they stay up from file to file, until the run ends. */
const servers = new Map<PostgresVersion, Promise<EmbeddedServer>>()

const serverOf = (version: PostgresVersion): Promise<EmbeddedServer> => {
  const known = servers.get(version)
  if (known !== undefined) return known
  const dataDir = join(inject("postgresDirectory"), version)
  const server = Effect.runPromise(
    Effect.flatMap(Scope.make(), scope =>
      Scope.extend(embeddedPostgres(dataDir, serverOptions(version)), scope),
    ),
  )
  servers.set(version, server)
  return server
}

/** A database of its own, with the same logins as a real one, dropped when the scope closes. */
export const testDatabase = (
  options: TestDatabaseOptions = {},
): Effect.Effect<TestDatabase, ConfigurationError | WarehouseError, Scope.Scope> =>
  Effect.gen(function* () {
    const server = yield* Effect.promise(() => serverOf(options.version ?? "18"))
    const name = `test_${randomBytes(8).toString("hex")}`
    yield* Effect.acquireRelease(
      asAdmin(server, async sql => {
        const template =
          options.template === undefined ? "template1" : await readyTemplate(server, options.template)
        await createDatabase(sql, name, template)
      }),
      // An autovacuum worker may be in it, which only a superuser may end: it leaves by itself.
      () =>
        asAdmin(server, sql => sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)).pipe(
          Effect.retry({ times: 600, schedule: Schedule.spaced("100 millis") }),
          Effect.orDie,
        ),
    )
    return databaseOf(server, name)
  })

/** The same for a whole test file: created before its tests, dropped after them. Read it inside a test. */
export const databaseForFile = (options: TestDatabaseOptions = {}): TestDatabase => {
  let scope: Scope.CloseableScope
  let database: TestDatabase
  beforeAll(async () => {
    scope = await Effect.runPromise(Scope.make())
    database = await Effect.runPromise(Scope.extend(testDatabase(options), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return {
    get ownerUrl() {
      return database.ownerUrl
    },
    get readerUrl() {
      return database.readerUrl
    },
  }
}

/** A directory that the account Postgres runs as may enter, removed when the scope closes. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "paycombat-test-"))
    await chmod(directory, 0o755)
    return directory
  }),
  directory => Effect.promise(() => rm(directory, { recursive: true, force: true, maxRetries: 5 })),
)

/** Runs plain SQL, several statements at once if need be; for arranging and looking, not for what is tested. */
export const runSql = async (
  url: Redacted.Redacted,
  statements: string,
): Promise<ReadonlyArray<postgres.Row>> => {
  const sql = postgres(Redacted.value(url), { max: 1, fetch_types: false, onnotice: () => undefined })
  try {
    return await sql.unsafe(statements)
  } finally {
    await sql.end()
  }
}

const databaseOf = (server: EmbeddedServer, name: string): TestDatabase => {
  const at = (url: Redacted.Redacted) => Redacted.make(Redacted.value(url).replace(/\/[^/]*$/, `/${name}`))
  return { ownerUrl: at(server.ownerUrl), readerUrl: at(server.readerUrl) }
}

/** This worker's sessions of administration. They are kept for a moment, because a login costs as much as a database. */
const administrations = new Map<EmbeddedServer, postgres.Sql>()

const administration = (server: EmbeddedServer, options: postgres.Options<Record<string, never>>) =>
  postgres(Redacted.value(databaseOf(server, "postgres").ownerUrl), {
    fetch_types: false,
    onnotice: () => undefined,
    ...options,
  })

const asAdmin = (server: EmbeddedServer, work: (sql: postgres.Sql) => Promise<unknown>) =>
  Effect.tryPromise({
    try: () => {
      const known = administrations.get(server) ?? administration(server, { max: 4, idle_timeout: 5 })
      administrations.set(server, known)
      return work(known)
    },
    catch: error => new WarehouseError({ message: String(error) }),
  })

const OBJECT_IN_USE = "55006"

/** Copying the files takes a third of the processor time that writing them to the log takes. 14 knows no other way. */
const strategyOf = async (sql: postgres.Sql): Promise<string> => {
  const [version] = await sql`SELECT current_setting('server_version_num')::int >= 150000 AS "hasChoice"`
  return version!.hasChoice ? " STRATEGY FILE_COPY" : ""
}

/** Rights as in the database `paycombat`. */
const createDatabase = async (
  sql: postgres.Sql,
  name: string,
  template: string,
  attempts = 10,
): Promise<void> => {
  try {
    await sql.unsafe(`CREATE DATABASE ${name} TEMPLATE ${template}${await strategyOf(sql)}`)
  } catch (error) {
    // The creator of the template may still be leaving it: Postgres waits five seconds for that.
    const isInUse = error instanceof postgres.PostgresError && error.code === OBJECT_IN_USE
    if (!isInUse || attempts === 1) throw error
    return createDatabase(sql, name, template, attempts - 1)
  }
  await sql.unsafe(
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name} TO paycombat_reader`,
  )
}

/** Server → the templates that this worker knows to be ready. */
const templates = new Map<EmbeddedServer, Map<string, Promise<string>>>()

const readyTemplate = (server: EmbeddedServer, template: Template): Promise<string> => {
  const known = templates.get(server) ?? new Map<string, Promise<string>>()
  templates.set(server, known)
  const ready = known.get(template.name) ?? templateOf(server, template)
  known.set(template.name, ready)
  // The next test that needs it tries again.
  ready.catch(() => known.delete(template.name))
  return ready
}

const templateOf = async (server: EmbeddedServer, { name, from, prepare }: Template): Promise<string> => {
  const template = `template_${name}`
  const base = from === undefined ? "template1" : await readyTemplate(server, from)
  // A session of its own, because the lock is the session's. Its end releases the lock.
  const sql = administration(server, { max: 1 })
  try {
    // Other workers want it too: one makes it, the others wait here.
    await sql`SELECT pg_advisory_lock(hashtext(${template}))`
    const [known] = await sql`SELECT datistemplate AS ready FROM pg_database WHERE datname = ${template}`
    if (known?.ready !== true) {
      await sql.unsafe(`DROP DATABASE IF EXISTS ${template} WITH (FORCE)`)
      await createDatabase(sql, template, base)
      await prepare(databaseOf(server, template).ownerUrl)
      await sql.unsafe(`ALTER DATABASE ${template} IS_TEMPLATE true`)
    }
    return template
  } finally {
    await sql.end()
  }
}
