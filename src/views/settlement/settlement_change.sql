CREATE VIEW analytics.settlement_change AS
-- No WITH, so that a question's order reaches the parts: the latest changes are read from an index.
SELECT
  state.account,
  state.settlement_id,
  state.transaction_id,
  CASE WHEN state.is_after THEN other.settlement_id ELSE state.settlement_id END AS from_settlement_id,
  CASE WHEN state.is_after THEN state.settlement_id ELSE other.settlement_id END AS to_settlement_id,
  CASE WHEN state.is_after THEN other.is_settled ELSE state.is_settled END AS was_settled,
  CASE WHEN state.is_after THEN state.is_settled ELSE other.is_settled END AS is_settled,
  state.seen_at,
  CASE WHEN state.is_after THEN state.run_id ELSE other.run_id END AS run_id
FROM (
  -- The settlement that a transaction is in after the change.
  SELECT account, transaction_id, settlement_id, is_settled, run_id, valid_from AS seen_at, true AS is_after
  FROM warehouse.transaction_settlement_history
  UNION ALL
  -- The one that it left.
  SELECT account, transaction_id, settlement_id, is_settled, run_id, valid_to, false
  FROM warehouse.transaction_settlement_history
) AS state
-- Looked up, not joined: Postgres takes the pairs for few, and would read all of them to find the latest.
CROSS JOIN LATERAL (
  SELECT pair.settlement_id, pair.is_settled, pair.run_id
  FROM warehouse.transaction_settlement_history AS pair
  WHERE pair.account = state.account AND pair.transaction_id = state.transaction_id
    AND CASE WHEN state.is_after THEN pair.valid_to ELSE pair.valid_from END = state.seen_at
  LIMIT 1
) AS other
WHERE state.seen_at IS NOT NULL AND CASE WHEN state.is_after
  THEN (state.settlement_id, state.is_settled) IS DISTINCT FROM (other.settlement_id, other.is_settled)
    AND (state.settlement_id IS NOT NULL OR other.settlement_id IS NULL)
  ELSE state.settlement_id IS NOT NULL AND (other.settlement_id = state.settlement_id) IS NOT TRUE END;

COMMENT ON VIEW analytics.settlement_change IS
  'Changes in a settlement after a transaction was first seen: it joined, left, was settled, or is no longer settled. A move from one settlement to another has a row for each of the two. settlement.changed_since_done tells which settlements changed after they were done.';
COMMENT ON COLUMN analytics.settlement_change.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement_change.settlement_id IS
  'Settlement that the change concerns: the one before or the one after it. Null where the transaction belonged to none.';
COMMENT ON COLUMN analytics.settlement_change.transaction_id IS 'Transaction that changed; see settlement_transaction.';
COMMENT ON COLUMN analytics.settlement_change.from_settlement_id IS
  'Settlement of the transaction before the change; null if none.';
COMMENT ON COLUMN analytics.settlement_change.to_settlement_id IS
  'Settlement of the transaction after the change; null if none.';
COMMENT ON COLUMN analytics.settlement_change.was_settled IS 'True if the transaction was settled before the change.';
COMMENT ON COLUMN analytics.settlement_change.is_settled IS 'True if the transaction was settled after the change.';
COMMENT ON COLUMN analytics.settlement_change.seen_at IS
  'When a sync first saw the change. It happened between the sync before and this one.';
COMMENT ON COLUMN analytics.settlement_change.run_id IS 'Run that saw the change; see the ledger.';
