import type postgres from "postgres"
import { NotStored } from "./failures.ts"
import type { Shape, Transaction } from "./shape.ts"

/**
 * Finds triggers, rules and policies that others put on our tables. If one can decide what is stored, it is refused by
 * its name before anything is written: it could keep out or change a row, a reject or a removal, each of which has a
 * statement of its own. A trigger that runs after the row is stored, such as an audit, is allowed. The stored rows are
 * then read again and compared with the sent ones (`upsert`).
 *
 * A trigger's function runs with this login's rights. So a function of a role without these rights is refused, whenever
 * it runs: that role could grant itself the warehouse.
 */

const NAMED_MAX = 3

/** Functions of our own triggers. None of them changes the row that it is run for. */
const OWN = [
  "warehouse.total_transactions",
  "warehouse.total_settled",
  "warehouse.keep_settlements",
  "sync.keep_kinds",
  "sync.keep_version",
  "sync.mark_change",
  "sync.mark_rule",
]

/**
 * Condition on `pg_trigger` as `g`: the trigger is not internal, not ours, and fires in this session. Our own triggers
 * keep totals, histories and marks of changes: they run these functions, which belong to the table's owner.
 */
const FIRES = `NOT g.tgisinternal AND g.tgenabled IN ('A',
  CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)
  AND NOT EXISTS (SELECT FROM pg_proc AS own WHERE own.oid = g.tgfoid AND own.pronamespace IN (to_regnamespace('warehouse'), to_regnamespace('sync'))
    AND own.pronamespace::regnamespace || '.' || own.proname IN (${OWN.map(name => `'${name}'`).join(", ")})
    AND own.proowner = (SELECT relowner FROM pg_class WHERE oid = g.tgrelid))`
/** Condition on `g`: the trigger runs for each row before it is written. The bits are those of Postgres' sources. */
const DECIDES = "g.tgtype & 3 = 3"

/** Condition: `role` has the rights of a table's owner anyway, as superusers, the owner and its members do. */
export const hasRightsOf = (role: string, owner: string): string => `pg_has_role(${role}, ${owner}, 'MEMBER')`

/** A trigger, a rule or a policy that decides what is stored, or runs code of another role with our rights. */
export interface Interference {
  readonly name: string
  /** Role whose code runs with our rights; null if it only decides what is stored. */
  readonly planter: string | null
  readonly remedy: string
}

/** Lists the interferences with our tables. Reads the catalogue only: a fraction of a millisecond. */
export const interferences = async (tx: Transaction): Promise<ReadonlyArray<Interference>> =>
  tx.unsafe<Array<Interference>>(
    `SELECT i.name, i.planter, i.remedy FROM pg_class AS c
     CROSS JOIN LATERAL (SELECT format('%I.%I', c.relnamespace::regnamespace, c.relname) AS name) AS t
     CROSS JOIN LATERAL (
       SELECT format('trigger %I on %s', g.tgname, t.name) AS name, format('DROP TRIGGER %I ON %s', g.tgname, t.name) AS remedy,
         CASE WHEN NOT ${hasRightsOf("p.proowner", "c.relowner")} THEN pg_get_userbyid(p.proowner)::text END AS planter
       FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
       WHERE c.relhastriggers AND g.tgrelid = c.oid AND ${FIRES}
         AND (${DECIDES} OR NOT ${hasRightsOf("p.proowner", "c.relowner")})
       UNION ALL
       SELECT format('rule %I on %s', w.rulename, t.name), format('DROP RULE %I ON %s', w.rulename, t.name), NULL
       FROM pg_rewrite AS w WHERE c.relhasrules AND w.ev_class = c.oid AND w.ev_enabled <> 'D'
       UNION ALL
       SELECT format('row-level security on %s', t.name), format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', t.name), NULL
       WHERE c.relrowsecurity AND row_security_active(c.oid)
     ) AS i
     WHERE c.relnamespace IN (to_regnamespace('warehouse'), to_regnamespace('sync')) AND c.relkind IN ('r', 'p')
       AND (c.relhastriggers OR c.relhasrules OR c.relrowsecurity)
     ORDER BY i.planter NULLS LAST, 1`,
  )

/** A sentence about an interference, with the command that removes it, without its full stop. */
export const interferenceWords = ({ name, planter, remedy }: Interference): string =>
  planter === null
    ? `${name} can keep rows out or change them: ${remedy}`
    : `${name} runs a function of role ${planter} with this login's rights: ${remedy}`

const refusePlanted = ([first]: ReadonlyArray<Interference>): void => {
  if (first !== undefined && first.planter !== null)
    throw new NotStored(`Nothing was stored: ${interferenceWords(first)}.`)
}

/** Throws `NotStored` if a trigger, rule or policy decides what is stored, or runs a function of a role without our rights. */
export const refuseInterference = async (tx: Transaction): Promise<void> => {
  const all = await interferences(tx)
  refusePlanted(all)
  if (all.length === 0) return
  const names = all.slice(0, NAMED_MAX).map(({ name }) => name)
  const more = all.length > NAMED_MAX ? ` and ${all.length - NAMED_MAX} more` : ""
  throw new NotStored(
    `Nothing was stored: ${names.join(", ")}${more} can keep rows out or change them. Remove it (${all[0]!.remedy}),` +
      " or make it a trigger that runs AFTER the row is stored.",
  )
}

/** Runs a transaction that writes without a lease. Fails before it writes if a trigger runs a function of another role. */
export const beginWriting = <A>(
  sql: postgres.Sql,
  write: (tx: postgres.TransactionSql) => Promise<A>,
): Promise<A> =>
  sql.begin(async tx => {
    refusePlanted(await interferences(tx))
    return write(tx)
  }) as Promise<A>

/** True if stored rows may differ from the sent ones: a trigger fires, or a column has another type. */
export const mayAlter = async (tx: Transaction, { table, types }: Shape): Promise<boolean> => {
  const [row] = await tx.unsafe<Array<{ altered: boolean }>>(
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
  return row!.altered
}
