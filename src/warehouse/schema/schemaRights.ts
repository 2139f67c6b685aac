import type postgres from "postgres"
import { PIN_PATH } from "../../postgres/pin.ts"

/**
 * Reads the schemas of this login's own search path. The statement runs under that path, so it must resolve nothing by it:
 * it has one function, with its schema, and no operator.
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
 * Lists other roles that may create objects in our schemas or in a schema of this login's search path, or triggers on our
 * tables, and roles to which default privileges would grant such a right, or a right on our tables, with the next table or
 * schema. There is a line for each schema and role, with the command that ends it. Their trigger runs with the owner's
 * rights; their function or operator can, in any client of this login that does not pin its path, such as psql.
 *
 * Superusers, the owner of the database, this login and the owner of the warehouse may have that right.
 */
export const schemasOpenToOthers = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> => {
  const path = await schemasOfPath(tx)
  const rows = await tx<Array<{ message: string }>>`
    WITH expected AS (
      SELECT r.oid FROM pg_roles r
      WHERE r.rolsuper OR r.rolname IN (current_user, 'pg_database_owner')
      UNION SELECT datdba FROM pg_database WHERE datname = current_database()
      UNION SELECT nspowner FROM pg_namespace WHERE nspname = 'sync'
    ), right_of_others AS (
      SELECT n.nspname AS schema, acl.grantee, acl.privilege_type, acl.grantee = n.nspowner AS is_owner
      FROM pg_namespace n
      CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
      WHERE acl.privilege_type = 'CREATE'
        AND (n.nspname = ANY (${path}::text::name[]) OR n.nspname IN ('warehouse', 'sync', 'analytics'))
      UNION
      SELECT c.relnamespace::regnamespace::text, acl.grantee, acl.privilege_type, false
      FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) acl
      WHERE acl.privilege_type = 'TRIGGER' AND acl.grantee <> c.relowner AND c.relkind IN ('r', 'p')
        AND c.relnamespace IN (to_regnamespace('warehouse'), to_regnamespace('sync'))
    ), by_default AS (
      SELECT d.defaclrole AS owner, d.defaclnamespace AS namespace, d.defaclobjtype = 'n' AS is_schema, acl.grantee,
        acl.privilege_type
      FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) acl
      WHERE (d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
          OR d.defaclrole IN (SELECT nspowner FROM pg_namespace WHERE nspname = 'sync'))
        AND d.defaclobjtype IN ('n', 'r')
        AND (d.defaclnamespace = 0
          OR d.defaclnamespace IN (to_regnamespace('warehouse'), to_regnamespace('sync'), to_regnamespace('analytics')))
    )
    SELECT CASE
      WHEN is_owner THEN
        format('schema %1$I belongs to role %2$s, which can create in it: ALTER SCHEMA %1$I OWNER TO another role', schema, role)
      WHEN privilege_type = 'TRIGGER' THEN
        format('%2$s may create triggers in schema %1$I: REVOKE TRIGGER ON ALL TABLES IN SCHEMA %1$I FROM %2$s', schema, role)
      ELSE format('%2$s may create in schema %1$I: REVOKE CREATE ON SCHEMA %1$I FROM %2$s', schema, role)
      END AS message
    FROM right_of_others, LATERAL (
      SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role
    ) named
    WHERE NOT EXISTS (SELECT FROM expected WHERE oid = grantee)
    UNION ALL
    SELECT format('default privileges give %s %s on each new %s: ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %s',
      role, d.privilege_type, CASE WHEN d.is_schema THEN 'schema' ELSE 'table' END, pg_get_userbyid(d.owner),
      CASE WHEN d.namespace <> 0 THEN format(' IN SCHEMA %s', d.namespace::regnamespace) END, d.privilege_type,
      CASE WHEN d.is_schema THEN 'SCHEMAS' ELSE 'TABLES' END, role)
    FROM by_default AS d, LATERAL (
      SELECT CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(d.grantee)) END AS role
    ) named
    WHERE NOT EXISTS (SELECT FROM expected WHERE oid = d.grantee) AND CASE
      WHEN d.is_schema THEN d.privilege_type = 'CREATE'
      WHEN d.privilege_type = 'TRIGGER' THEN true
      -- A right on tables of a schema that its holder cannot use is none.
      ELSE coalesce(d.namespace <> to_regnamespace('analytics'), true) AND d.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
        AND (EXISTS (SELECT FROM by_default AS s WHERE s.is_schema AND s.grantee IN (0, d.grantee) AND s.privilege_type = 'USAGE')
          OR EXISTS (SELECT FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) acl
            WHERE n.nspname IN ('warehouse', 'sync') AND d.namespace IN (0, n.oid) AND acl.grantee IN (0, d.grantee)
              AND acl.privilege_type = 'USAGE'))
      END
    ORDER BY 1`
  return rows.map(({ message }) => message)
}
