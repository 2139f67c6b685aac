import type postgres from "postgres"
import { ConfigurationError } from "../../core/errors.ts"
import { hasRightsOf, interferences, interferenceWords } from "../../postgres/interference.ts"
import { schemasOpenToOthers } from "./schemaRights.ts"

/** Condition on an owner column of the catalogue: the role lacks the rights of the warehouse's owner. */
const isForeign = (role: string) => `NOT ${hasRightsOf(role, "w.owner")}`

/** Our schemas, each with the role that owns the warehouse. */
const OURS = `SELECT n.oid, coalesce(s.nspowner, n.nspowner) AS owner
  FROM pg_namespace n LEFT JOIN pg_namespace s ON s.nspname = 'sync'
  WHERE n.nspname IN ('warehouse', 'sync', 'analytics')`

/** Objects of other roles within our schemas, with the command that removes each. */
const OBJECTS = `
  SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0) AS name, p.proowner AS role,
    format('DROP %s %s CASCADE', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
      p.oid::regprocedure) AS remedy
  FROM pg_proc p JOIN ours w ON w.oid = p.pronamespace WHERE ${isForeign("p.proowner")}
  UNION ALL
  SELECT pg_describe_object('pg_operator'::regclass, o.oid, 0), o.oprowner, format('DROP OPERATOR %s', o.oid::regoperator)
  FROM pg_operator o JOIN ours w ON w.oid = o.oprnamespace WHERE ${isForeign("o.oprowner")}
  UNION ALL
  SELECT pg_describe_object('pg_type'::regclass, t.oid, 0), t.typowner, format('DROP TYPE %s', t.oid::regtype)
  FROM pg_type t JOIN ours w ON w.oid = t.typnamespace
  WHERE t.typrelid = 0 AND t.typelem = 0 AND ${isForeign("t.typowner")}
  UNION ALL
  SELECT pg_describe_object('pg_class'::regclass, c.oid, 0), c.relowner,
    format('DROP %s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
      WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.oid::regclass)
  FROM pg_class c JOIN ours w ON w.oid = c.relnamespace
  WHERE c.relkind IN ('v', 'm', 'r', 'p', 'f', 'S') AND ${isForeign("c.relowner")}`

/**
 * Functions, operators and types of other roles, in any schema, that our tables and views use: in a default, a check, a
 * generated column, an index, a policy, a rule or a column's type. Triggers have a list of their own.
 */
const USES = `
  SELECT DISTINCT format('%s uses %s', used.relation::regclass, pg_describe_object(d.refclassid, d.refobjid, 0)) AS name,
    used.role, format('DROP %s %s CASCADE', used.kind, used.object) AS remedy
  FROM pg_depend d
  CROSS JOIN LATERAL (
    SELECT CASE d.classid
        WHEN 'pg_class'::regclass THEN (SELECT coalesce(i.indrelid, d.objid) FROM (SELECT 1) one
          LEFT JOIN pg_index i ON i.indexrelid = d.objid)
        WHEN 'pg_attrdef'::regclass THEN (SELECT adrelid FROM pg_attrdef WHERE oid = d.objid)
        WHEN 'pg_constraint'::regclass THEN (SELECT conrelid FROM pg_constraint WHERE oid = d.objid)
        WHEN 'pg_rewrite'::regclass THEN (SELECT ev_class FROM pg_rewrite WHERE oid = d.objid)
        WHEN 'pg_policy'::regclass THEN (SELECT polrelid FROM pg_policy WHERE oid = d.objid)
      END AS relation, source.*
    FROM (
      SELECT p.proowner AS role, 'FUNCTION' AS kind, p.oid::regprocedure::text AS object FROM pg_proc p
      WHERE d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
      UNION ALL
      SELECT o.oprowner, 'OPERATOR', o.oid::regoperator::text FROM pg_operator o
      WHERE d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
      UNION ALL
      SELECT t.typowner, 'TYPE', t.oid::regtype::text FROM pg_type t
      WHERE d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
    ) source
  ) used
  JOIN pg_class c ON c.oid = used.relation
  JOIN ours w ON w.oid = c.relnamespace
  WHERE d.classid IN ('pg_class'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_rewrite'::regclass,
      'pg_policy'::regclass)
    AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
    AND ${isForeign("used.role")}`

/**
 * Lists code of other roles that would run with this login's rights: objects in our schemas, functions, operators and types
 * that our tables and views use, and triggers on our tables. Each line has the command that removes it. Superusers, the owner
 * and its members are no other roles, because they have the owner's rights anyway. Reads some thousand rows of the
 * catalogue: it is for `migrate` and `doctor`, not for each transaction.
 */
export const plantedByOthers = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> => {
  const objects = await tx.unsafe<Array<{ words: string }>>(
    `WITH ours AS (${OURS}), found AS (${OBJECTS} UNION ALL ${USES})
     SELECT format('%s belongs to role %I, whose code would run with this login''s rights: %s', name,
       pg_get_userbyid(role), remedy) AS words
     FROM found ORDER BY 1`,
  )
  const triggers = (await interferences(tx)).filter(({ planter }) => planter !== null)
  return [...objects.map(({ words }) => words), ...triggers.map(interferenceWords)]
}

/** Fails if other roles can plant code that runs with this login's rights, did so, or would get rights on our tables. */
export const refuseOthers = async (tx: postgres.TransactionSql): Promise<void> => {
  const lines = [...(await schemasOpenToOthers(tx)), ...(await plantedByOthers(tx))]
  if (lines.length === 0) return
  throw new ConfigurationError({
    message: `Other logins could run code with this login's rights, or read its tables: ${lines.join("; ")}. Then run migrate again`,
  })
}
