import type postgres from "postgres"
import { PIN_PATH } from "./pool.ts"

/**
 * The schemas that this login's own search path names. They are looked up under that path, so this statement must
 * resolve nothing by it: one function, with its schema, and no operator.
 */
const schemasOfPath = async (tx: postgres.TransactionSql): Promise<string> => {
  await tx.unsafe("SET LOCAL search_path = DEFAULT")
  const [row] = await tx.unsafe<Array<{ schemas: string }>>(
    "SELECT pg_catalog.current_schemas(false) AS schemas",
  )
  await tx.unsafe(PIN_PATH)
  return row!.schemas
}

/**
 * Says who else may create objects in our schemas, or in a schema of this login's search path: a line for each schema and
 * role, with the command that ends it. A function or an operator of theirs there can run with the owner's rights, in this
 * program before it pinned its path, and in any other client of this login, such as psql.
 *
 * Superusers, the owner of the database, this login and the owner of the warehouse are expected to have that right.
 */
export const schemasOpenToOthers = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> => {
  const path = await schemasOfPath(tx)
  const rows = await tx<Array<{ message: string }>>`
    WITH expected AS (
      SELECT r.oid FROM pg_roles r
      WHERE r.rolsuper OR r.rolname IN (current_user, 'pg_database_owner')
      UNION SELECT datdba FROM pg_database WHERE datname = current_database()
      UNION SELECT nspowner FROM pg_namespace WHERE nspname = 'sync'
    )
    SELECT DISTINCT CASE
      WHEN acl.grantee = n.nspowner THEN
        format('schema %1$I belongs to role %2$I, which can create in it: ALTER SCHEMA %1$I OWNER TO another role', n.nspname, pg_get_userbyid(n.nspowner))
      ELSE
        format('%2$s may create in schema %1$I: REVOKE CREATE ON SCHEMA %1$I FROM %2$s', n.nspname,
          CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END)
      END AS message
    FROM pg_namespace n
    CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
    WHERE (n.nspname = ANY (${path}::text::name[]) OR n.nspname IN ('warehouse', 'sync', 'analytics'))
      AND acl.privilege_type = 'CREATE' AND NOT EXISTS (SELECT FROM expected WHERE oid = acl.grantee)
    ORDER BY 1`
  return rows.map(({ message }) => message)
}
