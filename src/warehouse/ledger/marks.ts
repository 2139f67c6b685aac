import type postgres from "postgres"
import { arrayLiteral } from "../../postgres/bulk.ts"
import type { Transaction } from "../../postgres/shape.ts"

/** Marks of changes since the equations of an account were computed: `sync.figure_changes`. Triggers mark changed rows. */

/** Marks a change that no trigger sees, such as one of a setting. `of` names the table. */
export const markChange = async (tx: Transaction, account: string, of: string): Promise<void> => {
  await tx`
    INSERT INTO sync.figure_changes (account, table_name, changed_at) VALUES (${account}, ${of}, clock_timestamp())
    ON CONFLICT (account, table_name) DO UPDATE SET changed_at = excluded.changed_at`
}

/** Marks as read before a computation. */
export interface Marks {
  readonly tables: ReadonlyArray<string>
  /** Times as Postgres prints them. */
  readonly times: ReadonlyArray<string>
}

export const marksOf = async (tx: postgres.ISql, account: string): Promise<Marks> => {
  const found = await tx<Array<{ table: string; time: string }>>`
    SELECT table_name AS "table", changed_at::text AS time FROM sync.figure_changes WHERE account = ${account}`
  return { tables: found.map(({ table }) => table), times: found.map(({ time }) => time) }
}

/** Removes marks that were read before a computation. A mark that another transaction renewed meanwhile stays. */
export const removeMarks = async (
  tx: postgres.ISql,
  account: string,
  { tables, times }: Marks,
): Promise<void> => {
  await tx`
    DELETE FROM sync.figure_changes AS mark USING unnest(${arrayLiteral(tables)}::text[], ${arrayLiteral(times)}::timestamptz[]) AS seen (of, at)
    WHERE mark.account = ${account} AND mark.table_name = seen.of AND mark.changed_at = seen.at`
}
