import { NotStored } from "./failures.ts"
import type { Shape, Transaction } from "./shape.ts"

/**
 * Triggers, rules and policies that others put on our tables. One that can decide what is stored is refused by its name,
 * before anything is written: it could keep out or change a row, a reject or a removal, and each of these is written by a
 * statement of its own. One that runs after the row is stored, such as an audit, is allowed; what a batch stored is then
 * read again and compared with what was sent (`upsert`).
 */

/** Things that are named of those in the way. */
const NAMED_MAX = 3

/** Condition on `pg_trigger` as `g`: made by others, and fires in this session. */
const FIRES = `NOT g.tgisinternal AND g.tgenabled IN ('A',
  CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)`
/** Condition on the same: runs for each row, before it is written. Two bits of the kind, as Postgres' own sources number them. */
const DECIDES = "g.tgtype & 3 = 3"

/** A trigger, a rule or a policy that decides what is stored. */
export interface Interference {
  readonly name: string
  /** The command that removes it. */
  readonly remedy: string
}

/** Lists what of others decides what our tables store. Reads the catalogue only: a fraction of a millisecond. */
export const interferences = async (tx: Transaction): Promise<ReadonlyArray<Interference>> =>
  tx.unsafe<Array<{ name: string; remedy: string }>>(
    `SELECT i.name, i.remedy FROM pg_class AS c
     CROSS JOIN LATERAL (SELECT format('%I.%I', c.relnamespace::regnamespace, c.relname) AS name) AS t
     CROSS JOIN LATERAL (
       SELECT format('trigger %I on %s', g.tgname, t.name) AS name, format('DROP TRIGGER %I ON %s', g.tgname, t.name) AS remedy
       FROM pg_trigger AS g WHERE c.relhastriggers AND g.tgrelid = c.oid AND ${DECIDES} AND ${FIRES}
       UNION ALL
       SELECT format('rule %I on %s', w.rulename, t.name), format('DROP RULE %I ON %s', w.rulename, t.name)
       FROM pg_rewrite AS w WHERE c.relhasrules AND w.ev_class = c.oid AND w.ev_enabled <> 'D'
       UNION ALL
       SELECT format('row-level security on %s', t.name), format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', t.name)
       WHERE c.relrowsecurity AND row_security_active(c.oid)
     ) AS i
     WHERE c.relnamespace IN (to_regnamespace('warehouse'), to_regnamespace('sync')) AND c.relkind IN ('r', 'p')
       AND (c.relhastriggers OR c.relhasrules OR c.relrowsecurity)
     ORDER BY 1`,
  )

/** Throws `NotStored` where a trigger, a rule or a policy on a table of ours decides what is stored. */
export const refuseInterference = async (tx: Transaction): Promise<void> => {
  const found = await interferences(tx)
  if (found.length === 0) return
  const names = found.slice(0, NAMED_MAX).map(({ name }) => name)
  const more = found.length > NAMED_MAX ? ` and ${found.length - NAMED_MAX} more` : ""
  throw new NotStored(
    `Nothing was stored: ${names.join(", ")}${more} can keep rows out or change them. Remove it (${found[0]!.remedy}),` +
      " or make it a trigger that runs AFTER the row is stored.",
  )
}

/** True where what a table keeps may differ from what is sent: another's trigger fires, or a column has another type. */
export const mayAlter = async (tx: Transaction, { table, types }: Shape): Promise<boolean> => {
  const [found] = await tx.unsafe<Array<{ altered: boolean }>>(
    `SELECT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = $1::regclass AND ${FIRES})
       OR EXISTS (
         SELECT FROM pg_attribute AS a
         JOIN unnest($2::text[], $3::text[]) AS s (name, type) ON a.attname = s.name
         WHERE a.attrelid = $1::regclass AND (a.attgenerated <> '' OR format_type(a.atttypid, a.atttypmod) <> s.type)
       ) AS altered`,
    [
      table,
      `{${[...types.keys()].join(",")}}`,
      `{${[...types.values()].map(type => `"${type}"`).join(",")}}`,
    ],
  )
  return found!.altered
}
