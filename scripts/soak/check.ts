import { Effect } from "effect"
import type postgres from "postgres"
import { isList } from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { allStreams } from "../../src/registry.ts"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { truthOf } from "../../test/support/truth/truth.ts"

/**
 * Conditions that hold when all is quiet again: the warehouse agrees with the sandbox's truth, and the ledger adds up.
 */

/** Differences that are told at most. */
const TOLD_MAX = 5

/** A look-up that the faults left without an answer is counted as unanswered by its run, and no more. */
const LEDGER = `
  SELECT 'a run that is over is ' || status AS what FROM sync.runs
  WHERE status NOT IN ('complete', 'complete_with_rejects', 'dead', 'interrupted', 'failed') OR finished_at IS NULL
  UNION ALL
  SELECT format('%s: a list is %s, and no record of it is wrong', stream, status) FROM sync.stream_runs
  WHERE status = 'complete_with_rejects' AND mode <> 'lookup'
  UNION ALL
  SELECT format('%s: counters of a run do not add up', stream) FROM sync.stream_runs
  WHERE extracted <> inserted + updated + unchanged + stale + rejected + erased + unanswered
  UNION ALL
  SELECT format('%s: a lease is held by %s, who is gone', stream, holder) FROM sync.leases
  WHERE expires_at > clock_timestamp()
  UNION ALL
  SELECT format('%s: a reject that nothing explains: %s', stream, reason) FROM sync.rejects
  UNION ALL
  SELECT format('%s keys of finished passes are left', count(*)) FROM sync.seen_keys AS k
  WHERE NOT EXISTS (SELECT FROM sync.checkpoints AS c WHERE c.pass_id = k.pass_id) HAVING count(*) > 0`

/** One statement per line: what is not as it should be. */
export const differences = async (sql: postgres.Sql, sandbox: Sandbox): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  for (const { name: stream, table, idColumn } of (await Effect.runPromise(allStreams)).filter(isList)) {
    const records = [...sandbox.truth.ids(stream)].map(id => ({
      id,
      text: sandbox.truth.text(stream, sandbox.indexOf(stream, id)!),
    }))
    const rows = await sql.unsafe<Array<{ what: string }>>(
      `SELECT format('%s %s: %s', $1::text, coalesce(t.id, w.id), CASE
           WHEN w.id IS NULL THEN 'is not in the warehouse'
           WHEN t.id IS NULL THEN 'is no longer listed, but not booked as removed'
           ELSE 'differs from the record that is served in ' || (
             SELECT string_agg(key, ', ') FROM jsonb_each(w.raw) AS a FULL JOIN jsonb_each(t.text::jsonb) AS b USING (key)
             WHERE a.value IS DISTINCT FROM b.value) END) AS what
       FROM (SELECT r->>'id' AS id, r->>'text' AS text FROM jsonb_array_elements($2::text::jsonb) AS r) AS t
       FULL JOIN (SELECT "${idColumn}" AS id, raw FROM ${shapeOf(table).table} WHERE removed_at IS NULL) AS w
         ON w.id = t.id
       WHERE w.id IS NULL OR t.id IS NULL OR w.raw <> t.text::jsonb LIMIT ${TOLD_MAX}`,
      [stream, JSON.stringify(records)],
    )
    found.push(...rows.map(({ what }) => what))
  }
  const notReady = [...truthOf(sandbox).notReady()].map(({ customerId }) => customerId).toSorted()
  const known = await sql<Array<{ id: string }>>`
    SELECT customer_id AS id FROM warehouse.wallet_readiness AS r
    JOIN warehouse.customers AS c USING (account, customer_id)
    WHERE NOT r.is_wallet_ready AND c.removed_at IS NULL`
  if (JSON.stringify(known.map(({ id }) => id).toSorted()) !== JSON.stringify(notReady))
    found.push(`readiness: ${known.length} customers are known not to be ready, ${notReady.length} are not`)
  const ledger = await sql.unsafe<Array<{ what: string }>>(LEDGER)
  found.push(...ledger.slice(0, TOLD_MAX).map(({ what }) => what))
  return found
}
