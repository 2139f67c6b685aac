import type postgres from "postgres"
import { sqlState } from "../../postgres/failures.ts"

/** Role that may read `analytics`, and nothing else. Logins become members of it. */
export const READER_ROLE = "paycombat_reader"

/** A right on a view, or on one column of it. */
interface Grant {
  readonly view: string
  readonly column: string | null
  readonly grantee: string
  /** Statement that grants it again. */
  readonly statement: string
}

/** Rights of other roles on views, before these were dropped. */
export interface Grants {
  readonly views: ReadonlyArray<string>
  readonly grants: ReadonlyArray<Grant>
}

export const NO_GRANTS: Grants = { views: [], grants: [] }

const heldGrants = (tx: postgres.TransactionSql, views: ReadonlyArray<string>) => tx<Array<Grant>>`
  SELECT view, column_name AS column, grantee,
    format('GRANT %s%s ON analytics.%I TO %s%s', privilege_type, coalesce(' (' || quote_ident(column_name) || ')', ''),
      view, grantee, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
  FROM (
    SELECT c.relname AS view, entry.column_name, acl.privilege_type, acl.is_grantable,
      CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
    FROM pg_class c
    CROSS JOIN LATERAL (
      SELECT NULL::text AS column_name, c.relacl AS acl
      UNION ALL
      SELECT attname::text, attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL
    ) entry
    CROSS JOIN LATERAL aclexplode(entry.acl) acl
    WHERE c.relnamespace = 'analytics'::regnamespace AND c.relname IN ${tx(views)} AND acl.grantee <> c.relowner
  ) held
  ORDER BY view, column_name NULLS FIRST, grantee, privilege_type`

/** Reads the rights of other roles on these views. There must be at least one view, and all must exist. */
export const captureGrants = async (
  tx: postgres.TransactionSql,
  views: ReadonlyArray<string>,
): Promise<Grants> => ({
  views,
  grants: await heldGrants(tx, views),
})

const columnsOfViews = async (tx: postgres.TransactionSql): Promise<ReadonlySet<string>> => {
  const rows = await tx<Array<{ column: string }>>`
    SELECT c.relname || '.' || a.attname AS column
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind = 'v'`
  return new Set(rows.map(row => row.column))
}

/**
 * Grants exactly the former rights on re-created views: default privileges may have granted one that a person had revoked.
 * Returns a note for each right whose view or column is gone.
 */
export const restoreGrants = async (
  tx: postgres.TransactionSql,
  captured: Grants,
): Promise<ReadonlyArray<string>> => {
  if (captured.views.length === 0) return []
  const added = await heldGrants(tx, captured.views)
  const revokes = new Set(added.map(grant => `REVOKE ALL ON analytics.${grant.view} FROM ${grant.grantee}`))
  const columns = await columnsOfViews(tx)
  const views = new Set(Array.from(columns, column => column.split(".")[0]))
  const isKept = ({ view, column }: Grant) =>
    column === null ? views.has(view) : columns.has(`${view}.${column}`)
  const grants = captured.grants.filter(isKept).map(grant => grant.statement)
  if (revokes.size + grants.length > 0) await tx.unsafe([...revokes, ...grants].join(";\n"))
  return captured.grants
    .filter(grant => !isKept(grant))
    .map(
      ({ view, column, grantee }) =>
        `${grantee} had a right on analytics.${view}${column === null ? "" : `, column ${column}`}, which is no more`,
    )
}

/** Creates the role if this login may. Otherwise returns a note for an administrator. */
export const createReaderRole = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> => {
  const [state] = await tx<Array<{ exists: boolean; may_create: boolean }>>`
    SELECT to_regrole(${READER_ROLE}) IS NOT NULL AS exists, rolsuper OR rolcreaterole AS may_create
    FROM pg_roles WHERE rolname = current_user`
  if (state?.exists) return []
  if (!state?.may_create)
    return [
      `Role ${READER_ROLE} does not exist and this login may not create roles: ask an administrator for CREATE ROLE ${READER_ROLE} NOLOGIN, then run migrate again`,
    ]
  try {
    await tx.savepoint(savepoint => savepoint.unsafe(`CREATE ROLE ${READER_ROLE} NOLOGIN`))
  } catch (error) {
    // Roles belong to the server: a migration of another database may have created it meanwhile.
    if (!["42710", "23505"].includes(sqlState(error) ?? "")) throw error
  }
  return []
}

/** Lists the tables that the role can read beside our views. It needs none of them for `analytics`. */
export const excessOfReader = async (
  sql: Pick<postgres.Sql, "unsafe"> | Pick<postgres.TransactionSql, "unsafe">,
): Promise<ReadonlyArray<string>> => {
  const rows = await sql.unsafe<Array<{ name: string }>>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
     FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE r.rolname = $1 AND n.nspname IN ('warehouse', 'sync') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT')
     ORDER BY 1`,
    [READER_ROLE],
  )
  return rows.map(({ name }) => name)
}

/** Lists our views that the role cannot read, if the role exists. */
export const unreadableByReader = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> => {
  const rows = await tx<Array<{ name: string }>>`
    SELECT v.name FROM pg_roles r, sync.views v
    WHERE r.rolname = ${READER_ROLE} AND to_regclass(format('analytics.%I', v.name)) IS NOT NULL AND NOT (
      has_schema_privilege(r.oid, to_regnamespace('analytics')::oid, 'USAGE')
      AND has_table_privilege(r.oid, to_regclass(format('analytics.%I', v.name)), 'SELECT'))
    ORDER BY 1`
  return rows.map(({ name }) => name)
}

/**
 * Lets the role read our views. Returns a note about our tables that it can read, too: a right that a person granted is for
 * that person to revoke. Does nothing if the role is missing or has all rights.
 */
export const grantReader = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> => {
  const views = await unreadableByReader(tx)
  if (views.length > 0) {
    await tx`GRANT USAGE ON SCHEMA analytics TO ${tx(READER_ROLE)}`
    for (const view of views) await tx`GRANT SELECT ON ${tx(`analytics.${view}`)} TO ${tx(READER_ROLE)}`
  }
  const excess = await excessOfReader(tx)
  return excess.length === 0
    ? []
    : [`${READER_ROLE} can also read ${excess.join(", ")}: REVOKE that unless it was meant`]
}
