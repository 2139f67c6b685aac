/**
 * Lists the rights of a login beyond reading schema `analytics`, one row each; no row if it has none, on each version from
 * 14 on.
 *
 * A right counts if any role that the login can become has it, because `SET ROLE` and `set_config('role', …)` need only
 * membership. Not counted are temporary tables, new large objects and advisory locks: one statement in a transaction that is
 * not committed keeps nothing of them.
 */
export const EXCESS_RIGHTS = `
WITH role AS (
  SELECT * FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')
), schema AS (
  SELECT n.oid, n.nspname AS name,
    n.nspname IN ('pg_catalog', 'information_schema') AS is_system,
    bool_or(has_schema_privilege(role.oid, n.oid, 'CREATE')) AS is_writable
  FROM pg_namespace n, role
  WHERE has_schema_privilege(role.oid, n.oid, 'USAGE, CREATE') AND n.nspname !~ '^pg_(toast|temp)'
  GROUP BY n.oid, n.nspname
), relation AS (
  SELECT c.oid, c.relkind, schema.name AS schema, schema.is_system,
    format('%I.%I', schema.name, c.relname) AS name,
    bool_or(has_table_privilege(role.oid, c.oid, 'SELECT')) AS is_readable,
    bool_or(has_any_column_privilege(role.oid, c.oid, 'SELECT')) AS is_partly_readable,
    bool_or(has_table_privilege(role.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
      OR has_any_column_privilege(role.oid, c.oid, 'INSERT, UPDATE, REFERENCES')
      OR CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(role.oid, c.oid, 'USAGE, UPDATE') ELSE false END) AS is_writable
  FROM pg_class c JOIN schema ON schema.oid = c.relnamespace, role
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  GROUP BY c.oid, c.relkind, c.relname, schema.name, schema.is_system
), function AS (
  SELECT DISTINCT p.oid, format('%I.%I', schema.name, p.proname) AS name, p.prosecdef, p.probin, schema.is_system
  FROM pg_proc p JOIN schema ON schema.oid = p.pronamespace, role
  WHERE has_function_privilege(role.oid, p.oid, 'EXECUTE')
), kept_from_public AS (
  SELECT classoid, objoid FROM pg_init_privs
  WHERE objsubid = 0 AND NOT EXISTS (SELECT FROM aclexplode(initprivs) WHERE grantee = 0)
), finding (rank, what) AS (
  SELECT 1, CASE WHEN rolname = current_user THEN '' ELSE format('as %I ', rolname) END || concat_ws(', ',
    CASE WHEN rolsuper THEN 'is a superuser' END,
    CASE WHEN rolcreaterole THEN 'may create roles' END,
    CASE WHEN rolcreatedb THEN 'may create databases' END,
    CASE WHEN rolreplication THEN 'may replicate' END,
    CASE WHEN rolbypassrls THEN 'bypasses row security' END)
  FROM role WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
  UNION ALL SELECT 2, format('is a member of %I', rolname) FROM role WHERE rolname LIKE 'pg\\_%'
  UNION ALL SELECT 3, format('may create schemas in %I', current_database())
    FROM role WHERE has_database_privilege(oid, current_database(), 'CREATE')
  UNION ALL SELECT 4, format('may create objects in schema %I', name) FROM schema WHERE is_writable
  UNION ALL SELECT 5, format('may read %s', name)
    FROM relation WHERE is_partly_readable AND NOT is_system AND schema <> 'analytics'
  UNION ALL SELECT 5, format('may read %s', name) FROM relation JOIN kept_from_public k
    ON k.classoid = 'pg_class'::regclass AND k.objoid = relation.oid WHERE is_readable AND is_system
  UNION ALL SELECT 6, format('may change %s', name)
    FROM relation WHERE is_writable AND name <> 'pg_catalog.pg_settings'
  UNION ALL SELECT 7, format('may execute %s, which runs with the rights of its owner', name)
    FROM function WHERE prosecdef AND NOT is_system
  UNION ALL SELECT 8, format('may execute %s', name) FROM function JOIN kept_from_public k
    ON k.classoid = 'pg_proc'::regclass AND k.objoid = function.oid
  UNION ALL SELECT 8, format('may execute %s, which reaches other servers', name)
    FROM function WHERE probin LIKE '%dblink%'
  UNION ALL SELECT 9, format('may use the foreign server %I', srvname)
    FROM pg_foreign_server s, role WHERE has_server_privilege(role.oid, s.oid, 'USAGE')
  UNION ALL SELECT 9, 'may read or change large objects' WHERE EXISTS (
    SELECT FROM pg_largeobject_metadata l LEFT JOIN LATERAL aclexplode(l.lomacl) a ON true
    WHERE a.grantee = 0 OR current_setting('lo_compat_privileges')::boolean
      OR EXISTS (SELECT FROM role WHERE role.oid IN (l.lomowner, a.grantee)))
)
SELECT DISTINCT rank, what FROM finding ORDER BY rank, what LIMIT 4`
