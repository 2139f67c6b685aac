import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect, type Scope } from "effect"
import type postgres from "postgres"
import { type MigrationSource, PACKAGED } from "../../src/warehouse/schema/migrator.ts"
import { temporaryDirectory } from "../support/postgres.ts"

/** A copy of the program's migrations and views, as a later version of it would bring them. */
export interface LaterVersion extends MigrationSource {
  readonly addMigration: (tag: string, statements: string) => Promise<void>
  readonly editView: (name: string, edit: (statements: string) => string) => Promise<void>
  readonly removeView: (name: string) => Promise<void>
}

export const laterVersion: Effect.Effect<LaterVersion, never, Scope.Scope> = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const at = (path: string) => pathToFileURL(join(directory, path))
  const journalFile = at("drizzle/meta/_journal.json")
  yield* Effect.promise(() => cp(PACKAGED.migrations, at("drizzle/"), { recursive: true }))
  yield* Effect.promise(() => cp(PACKAGED.views, at("views/"), { recursive: true }))
  const files = yield* Effect.promise(() => readdir(at("views/"), { recursive: true }))
  const view = (name: string) =>
    at(join("views", files.find(file => basename(file) === `${name}.sql`) ?? `${name}.sql`))
  return {
    migrations: at("drizzle/"),
    views: at("views/"),
    addMigration: async (tag, statements) => {
      const journal = JSON.parse(await readFile(journalFile, "utf8"))
      const last = journal.entries.at(-1)
      journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag })
      await writeFile(journalFile, JSON.stringify(journal))
      await writeFile(at(`drizzle/${tag}.sql`), statements)
    },
    editView: async (name, edit) =>
      writeFile(view(name), edit(await readFile(view(name), "utf8").catch(() => ""))),
    removeView: name => rm(view(name)),
  }
})

/** The program's migrations up to one of them, and none of its views: the database as an earlier version of it left it. */
export const earlierVersion = (tag: string): Effect.Effect<MigrationSource, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    const migrations = join(directory, "drizzle")
    const views = join(directory, "views")
    yield* Effect.promise(async () => {
      await cp(PACKAGED.migrations, migrations, { recursive: true })
      await mkdir(views)
      const file = join(migrations, "meta", "_journal.json")
      const journal = JSON.parse(await readFile(file, "utf8")) as { entries: Array<{ tag: string }> }
      const last = journal.entries.findIndex(entry => entry.tag === tag)
      journal.entries = journal.entries.slice(0, last + 1)
      await writeFile(file, JSON.stringify(journal))
    })
    return { migrations: pathToFileURL(`${migrations}/`), views: pathToFileURL(`${views}/`) }
  })

/** The same view, with a comment more: another definition of the same columns. */
export const touched = (statements: string): string => `${statements}\n-- touched\n`

/** Object ids of the views: a view that was re-created has another. */
export const identities = (sql: postgres.Sql) =>
  Effect.promise(async () => {
    const rows = await sql<Array<{ name: string; id: string }>>`
      SELECT relname AS name, oid::text AS id FROM pg_class WHERE relnamespace = 'analytics'::regnamespace ORDER BY 1`
    return Object.fromEntries(rows.map(row => [row.name, row.id]))
  })

/** Runs statements that arrange a test. */
export const run = (sql: postgres.Sql, statements: string) => Effect.promise(() => sql.unsafe(statements))

/** The report of a migrator that finds nothing to do. */
export const UP_TO_DATE = { applied: [], views: [], notes: [] }
