import { readFile } from "node:fs/promises"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { readMigrationFiles } from "drizzle-orm/migrator"
import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, WarehouseError } from "../../core/errors.ts"
import { PACKAGE_ROOT } from "../../core/version.ts"
import { sqlState, wordsOf } from "../../postgres/failures.ts"
import { warehouseError } from "../../postgres/statements.ts"
import { createReaderRole, type Grants, grantReader, NO_GRANTS, unreadableByReader } from "./grants.ts"
import { refuseOthers } from "./planted.ts"
import { applyViews, dropViews, ownViews, planViews, readViews, type View } from "./views.ts"

/** Oldest supported Postgres, as its `server_version_num`. */
const OLDEST_SERVER = 140_000

/** Longest wait of a migration for another migration. */
const QUEUE_TIMEOUT_SECONDS = 120

/**
 * Longest wait of a migration for a query that holds one of our views or tables. Later queries on that view wait behind it,
 * so it gives up before a dashboard's time-out.
 */
const LOCK_TIMEOUT_SECONDS = 5
/** Attempts, and the time for those queries in between. */
const LOCK_ATTEMPTS = 3
const LOCK_PAUSE_MILLIS = 2_000

/** Number of an advisory lock that no other program is likely to use. */
const QUEUE_LOCK = "7032114220187"

export interface MigrationReport {
  /** Table migrations that were applied. */
  readonly applied: ReadonlyArray<string>
  /** Views that were created or re-created. */
  readonly views: ReadonlyArray<string>
  /** Notes for a person. None of them stops a sync. */
  readonly notes: ReadonlyArray<string>
}

/** Missing migrations and views. The database is up to date if both lists are empty. */
export interface Pending {
  readonly migrations: ReadonlyArray<string>
  readonly views: ReadonlyArray<string>
  /** Views that role `paycombat_reader` cannot read, if it exists. A sync does not need that right. */
  readonly grants: ReadonlyArray<string>
}

/** Directories of the program's migrations and views. */
export interface MigrationSource {
  /** drizzle's folder. */
  readonly migrations: URL
  readonly views: URL
}

export const PACKAGED: MigrationSource = {
  migrations: new URL("drizzle/", PACKAGE_ROOT),
  views: new URL("src/views/", PACKAGE_ROOT),
}

interface Migration {
  readonly name: string
  /** drizzle's key of a migration. */
  readonly createdAt: string
  readonly hash: string
  readonly statements: ReadonlyArray<string>
}

const readMigrations = async (directory: URL): Promise<ReadonlyArray<Migration>> => {
  const journal: { readonly entries: ReadonlyArray<{ readonly tag: string }> } = JSON.parse(
    await readFile(new URL("meta/_journal.json", directory), "utf8"),
  )
  return readMigrationFiles({ migrationsFolder: fileURLToPath(directory) }).map((migration, index) => ({
    name: journal.entries[index]!.tag,
    createdAt: String(migration.folderMillis),
    hash: migration.hash,
    statements: migration.sql,
  }))
}

/** Lists the migrations that the database does not have. Stops if it has one that the program does not. */
const pendingOf = async (tx: postgres.TransactionSql, migrations: ReadonlyArray<Migration>) => {
  const [server] = await tx<Array<{ version: string; number: string; is_migrated: boolean }>>`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
      to_regclass('sync.migrations') IS NOT NULL AS is_migrated`
  if (Number(server!.number) < OLDEST_SERVER)
    throw new ConfigurationError({
      message: `The database is Postgres ${server!.version}: ${OLDEST_SERVER / 10_000} or newer is needed`,
    })
  if (!server!.is_migrated) return { isEmpty: true, pending: migrations }
  const rows = await tx<Array<{ created_at: string }>>`SELECT created_at::text FROM sync.migrations`
  const applied = new Set(rows.map(row => row.created_at))
  const ours = new Set(migrations.map(migration => migration.createdAt))
  if ([...applied].some(createdAt => !ours.has(createdAt)))
    throw new ConfigurationError({
      message: "The database was migrated by a newer version of this program: update the program",
    })
  return { isEmpty: false, pending: migrations.filter(migration => !applied.has(migration.createdAt)) }
}

/** Fails if a person must change the database itself before this program's tables may be in it. */
const refuseUnfit = async (tx: postgres.TransactionSql): Promise<void> => {
  const [database] = await tx<Array<{ encoding: string }>>`
    SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()`
  if (database!.encoding !== "UTF8")
    throw new ConfigurationError({
      message: `The database's encoding is ${database!.encoding}, which cannot hold every name and text: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL`,
    })
  await refuseOthers(tx)
}

const applyMigrations = async (
  tx: postgres.TransactionSql,
  migrations: ReadonlyArray<Migration>,
  isEmpty: boolean,
) => {
  let hasTable = !isEmpty
  for (const { statements, hash, createdAt } of migrations) {
    for (const statement of statements) await tx.unsafe(statement)
    // Created after the first migration, which creates the schema. The layout is drizzle's.
    if (!hasTable)
      await tx.unsafe(
        "CREATE TABLE sync.migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint)",
      )
    hasTable = true
    await tx`INSERT INTO sync.migrations (hash, created_at) VALUES (${hash}, ${createdAt})`
  }
}

/** SQLSTATEs for a change of a table that a view reads: feature not supported, dependent objects still exist. */
const VIEW_IN_THE_WAY: ReadonlySet<string | undefined> = new Set(["0A000", "2BP01"])

/** Applies migrations. Drops our views only if one is in the way: a migration that only adds does not disturb dashboards. */
const applyAroundViews = async (
  tx: postgres.TransactionSql,
  migrations: ReadonlyArray<Migration>,
  isEmpty: boolean,
): Promise<Grants> => {
  try {
    await tx.savepoint(savepoint => applyMigrations(savepoint, migrations, isEmpty))
    return NO_GRANTS
  } catch (error) {
    if (isEmpty || !VIEW_IN_THE_WAY.has(sqlState(error))) throw error
  }
  const grants = await dropViews(tx, await ownViews(tx))
  await applyMigrations(tx, migrations, isEmpty)
  return grants
}

/** Acts as the owner of the warehouse: the program's login could not change what an administrator creates. */
const becomeOwner = async (tx: postgres.TransactionSql): Promise<void> => {
  const [owned] = await tx<Array<{ owner: string; login: string; may: boolean }>>`
    SELECT pg_get_userbyid(nspowner) AS owner, current_user AS login, pg_has_role(nspowner, 'MEMBER') AS may
    FROM pg_namespace WHERE nspname = 'sync'`
  if (owned === undefined || owned.owner === owned.login) return
  if (!owned.may)
    throw new ConfigurationError({
      message: `The warehouse belongs to role ${owned.owner} and this login is ${owned.login}: run migrate as ${owned.owner}`,
    })
  await tx`SELECT set_config('role', ${owned.owner}, true)`
}

const migrateIn = async (
  tx: postgres.TransactionSql,
  migrations: ReadonlyArray<Migration>,
  views: ReadonlyArray<View>,
  tellTurn: () => void,
): Promise<MigrationReport> => {
  await tx`
    SELECT set_config('client_min_messages', 'warning', true),
      set_config('lock_timeout', ${`${QUEUE_TIMEOUT_SECONDS}s`}, true)`
  await tx`SELECT pg_advisory_xact_lock(${QUEUE_LOCK})`
  tellTurn()
  await tx`SELECT set_config('lock_timeout', ${`${LOCK_TIMEOUT_SECONDS}s`}, true)`
  const { pending, isEmpty } = await pendingOf(tx, migrations)
  await refuseUnfit(tx)
  const roleNotes = await createReaderRole(tx)
  await becomeOwner(tx)
  const grants = pending.length > 0 ? await applyAroundViews(tx, pending, isEmpty) : NO_GRANTS
  const plan = await planViews(tx, views)
  const viewNotes = await applyViews(tx, plan, grants)
  const readerNotes = await grantReader(tx)
  // Checked again before the commit: others may have got rights on the objects just created.
  await refuseOthers(tx)
  return {
    applied: pending.map(migration => migration.name),
    views: plan.create.map(view => view.name),
    notes: [...roleNotes, ...viewNotes, ...readerNotes],
  }
}

/** Advice for a person about an SQLSTATE; null if a repetition may help. */
const advice = (code: string | undefined): string | null => {
  switch (code) {
    case "42501":
      return "the login needs CREATE on the database, or must be the role that owns the warehouse"
    case "42P06":
    case "42P07":
    case "42710":
      return "the name is taken by something that is not this program's: use a database of its own"
    case "25006":
      return "nothing can be written here: connect to the primary, as the owner"
    default:
      return null
  }
}

const toError = (error: unknown): ConfigurationError | WarehouseError => {
  if (error instanceof ConfigurationError || error instanceof WarehouseError) return error
  const { message, code } = warehouseError(error)
  const todo = advice(code)
  return todo === null
    ? new WarehouseError({ message: `Migration undone. ${message}`, ...(code === undefined ? {} : { code }) })
    : new ConfigurationError({ message: `Migration undone. ${wordsOf(error)}: ${todo}` })
}

/** Turns a lock time-out into an error that names the sessions which may hold the lock. */
const nameBlockers = async (sql: postgres.Sql, error: unknown): Promise<unknown> => {
  if (sqlState(error) !== "55P03") return error
  const holders = await sql<Array<{ holder: string }>>`
    SELECT DISTINCT format('session %s of %s', activity.pid, activity.usename) AS holder
    FROM pg_locks held
    JOIN pg_stat_activity activity ON activity.pid = held.pid
    LEFT JOIN pg_class relation ON relation.oid = held.relation
    WHERE held.granted AND activity.datname = current_database() AND activity.pid <> pg_backend_pid()
      AND (held.locktype = 'advisory'
        OR relation.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('warehouse', 'sync', 'analytics')))
    ORDER BY 1`
  const names = holders.map(row => row.holder).join(", ") || "a session that has ended by now"
  return new WarehouseError({
    code: "55P03",
    message: `Migration undone. Its tables or views are in use by ${names}: run it again when that is done`,
  })
}

/**
 * Brings the database up to date: tables, views with their grants, and the reader role; all or nothing.
 *
 * Safe to call at any time and from several places at once: the calls queue. Waits a few times for a query that holds a view
 * or table, then names its session. One transaction without session state, so it works through a transaction-pooling proxy.
 * Fails with a `ConfigurationError` if a person must act first (too old a server, a newer database, a name taken, a right
 * missing, a foreign view that reads one that must change), and with a `WarehouseError` if a repetition may help.
 */
export const migrate = (
  sql: postgres.Sql,
  source: MigrationSource = PACKAGED,
): Effect.Effect<MigrationReport, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async () => {
      const migrations = await readMigrations(source.migrations)
      const views = await readViews(source.views)
      for (let attempt = 1; ; attempt++) {
        let isOurTurn = false
        const tellTurn = () => {
          isOurTurn = true
        }
        try {
          return await sql.begin(tx => migrateIn(tx, migrations, views, tellTurn))
        } catch (error) {
          const mayPass = isOurTurn && sqlState(error) === "55P03" && attempt < LOCK_ATTEMPTS
          if (!mayPass) throw await nameBlockers(sql, error)
        }
        await setTimeout(LOCK_PAUSE_MILLIS)
      }
    },
    catch: toError,
  })

/** Fails if `migrate` would refuse the database: for its encoding, or for rights of others on its schemas. */
export const checkFitness = (sql: postgres.Sql): Effect.Effect<void, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({ try: () => sql.begin("read only", refuseUnfit) as Promise<void>, catch: toError })

/**
 * Lists what `migrate` would apply, re-create, drop or grant. Fails as `migrate` does, without the checks of `checkFitness`.
 * Reads a few rows, and takes no lock that others wait for.
 */
export const pendingMigrations = (
  sql: postgres.Sql,
  source: MigrationSource = PACKAGED,
): Effect.Effect<Pending, ConfigurationError | WarehouseError> =>
  Effect.tryPromise({
    try: async () => {
      const migrations = await readMigrations(source.migrations)
      const views = await readViews(source.views)
      return await sql.begin("read only", async tx => {
        const { pending, isEmpty } = await pendingOf(tx, migrations)
        const { create, gone } = isEmpty ? { create: views, gone: [] } : await planViews(tx, views)
        return {
          migrations: pending.map(({ name }) => name),
          views: [...create.map(({ name }) => name), ...gone],
          grants: isEmpty ? [] : await unreadableByReader(tx),
        }
      })
    },
    catch: toError,
  })
