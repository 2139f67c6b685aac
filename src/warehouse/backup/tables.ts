import type postgres from "postgres"

/** A table whose rows a backup holds. Read from the catalogue: a new stream's tables need no word here. */
export interface BackupTable {
  /** Quoted, with its schema. */
  readonly name: string
  /** Quoted; without those that Postgres computes. */
  readonly columns: ReadonlyArray<string>
  /** The columns' types, in their order. */
  readonly types: ReadonlyArray<string>
  /** Rules that a migration seeds and people edit: a restore replaces them. All other tables must be empty. */
  readonly isSeeded: boolean
  readonly sequences: ReadonlyArray<string>
}

/**
 * What describes this database and not the data: who works on it now, and what `migrate` made. A pass under way
 * is not saved: the keys it has seen are unlogged, and without them its checkpoint would be worth nothing.
 */
const NOT_DATA = ["sync.leases", "sync.checkpoints", "sync.views", "sync.migrations"]

/** Tables are not ordered by foreign keys, because the warehouse has none: parents and children come as the API sends them. */
export const backupTables = (sql: postgres.ISql): Promise<ReadonlyArray<BackupTable>> =>
  sql<Array<BackupTable>>`
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
      to_json(array_agg(quote_ident(a.attname) ORDER BY a.attnum)) AS columns,
      to_json(array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)) AS types,
      n.nspname = 'warehouse' AND NOT bool_or(a.attname = 'account') AS "isSeeded",
      (SELECT coalesce(json_agg(d.objid::regclass::text ORDER BY d.objid), '[]') FROM pg_depend d JOIN pg_class s
        ON s.oid = d.objid AND s.relkind = 'S'
        WHERE d.refobjid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) AS sequences
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE n.nspname IN ('warehouse', 'sync') AND c.relkind = 'r' AND c.relpersistence = 'p'
      AND format('%s.%s', n.nspname, c.relname) <> ALL (string_to_array(${NOT_DATA.join(",")}, ','))
    GROUP BY n.nspname, c.relname, c.oid ORDER BY 1`

/** The applied migrations, oldest first; none where `migrate` was never run. */
export const appliedMigrations = async (sql: postgres.ISql): Promise<ReadonlyArray<string>> => {
  const [found] = await sql<Array<{ yes: boolean }>>`SELECT to_regclass('sync.migrations') IS NOT NULL AS yes`
  if (found?.yes !== true) return []
  const rows = await sql<Array<{ hash: string }>>`SELECT hash FROM sync.migrations ORDER BY created_at, id`
  return rows.map(({ hash }) => hash)
}

/** Values as text that means the same to every server and login, and no limit that a role may have. */
export const neutralSession = (tx: postgres.TransactionSql): Promise<unknown> =>
  tx`SELECT set_config('search_path', 'pg_catalog', true), set_config('TimeZone', 'UTC', true),
      set_config('DateStyle', 'ISO, MDY', true), set_config('IntervalStyle', 'postgres', true),
      set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true),
      set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`
