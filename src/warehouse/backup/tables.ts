import type postgres from "postgres"

/** A table in a backup. Tables are read from the catalogue, so a new stream's tables need no entry here. */
export interface BackupTable {
  /** Quoted name with its schema. */
  readonly name: string
  /** Quoted columns, without those that Postgres computes. */
  readonly columns: ReadonlyArray<string>
  /** Types of the columns, in their order. */
  readonly types: ReadonlyArray<string>
  /** True for rules that a migration seeds and people edit. A restore replaces them; all other tables must be empty. */
  readonly isSeeded: boolean
  readonly sequences: ReadonlyArray<string>
}

/** Totals follow from the rows: a restore makes them anew. */
const TOTALS = ["kinds", "days", "settlements", "owners"].map(of => `warehouse.transaction_${of}`)

/**
 * Tables that describe this database instead of the data: current leases, and objects that `migrate` created. A pass in
 * progress is not saved: its seen keys are unlogged, and without them its checkpoint would be useless. Restored rows are
 * marked as changed, and their equations are computed after the restore.
 */
const NOT_DATA = [
  "sync.leases",
  "sync.checkpoints",
  "sync.views",
  "sync.migrations",
  "sync.figure_changes",
  ...TOTALS,
]

/**
 * Lists the tables to back up. Their order is free, because the warehouse has no foreign keys: parents and children
 * come in the API's order.
 */
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

/** Lists the applied migrations, oldest first; empty if `migrate` was never run. */
export const appliedMigrations = async (sql: postgres.ISql): Promise<ReadonlyArray<string>> => {
  const [table] = await sql<Array<{ yes: boolean }>>`SELECT to_regclass('sync.migrations') IS NOT NULL AS yes`
  if (table?.yes !== true) return []
  const rows = await sql<Array<{ hash: string }>>`SELECT hash FROM sync.migrations ORDER BY created_at, id`
  return rows.map(({ hash }) => hash)
}

/**
 * Sets a session so that values are text with the same meaning on every server and login, and no limit of a role
 * applies.
 */
export const neutralSession = (tx: postgres.TransactionSql): Promise<unknown> =>
  tx`SELECT set_config('search_path', 'pg_catalog', true), set_config('TimeZone', 'UTC', true),
      set_config('DateStyle', 'ISO, MDY', true), set_config('IntervalStyle', 'postgres', true),
      set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true),
      set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`
