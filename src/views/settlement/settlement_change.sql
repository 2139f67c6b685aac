CREATE VIEW analytics.settlement_change AS
-- The settlement that a transaction is in after the change.
SELECT
  after.account,
  after.settlement_id,
  after.transaction_id,
  before.settlement_id AS from_settlement_id,
  after.settlement_id AS to_settlement_id,
  before.is_settled AS was_settled,
  after.is_settled,
  after.valid_from AS seen_at,
  after.run_id
FROM warehouse.transaction_settlement_history AS after
JOIN warehouse.transaction_settlement_history AS before
  ON before.account = after.account AND before.transaction_id = after.transaction_id AND before.valid_to = after.valid_from
WHERE (before.settlement_id, before.is_settled) IS DISTINCT FROM (after.settlement_id, after.is_settled)
  AND (after.settlement_id IS NOT NULL OR before.settlement_id IS NULL)
UNION ALL
-- The settlement that it left.
SELECT
  before.account,
  before.settlement_id,
  before.transaction_id,
  before.settlement_id,
  after.settlement_id,
  before.is_settled,
  after.is_settled,
  after.valid_from,
  after.run_id
FROM warehouse.transaction_settlement_history AS before
JOIN warehouse.transaction_settlement_history AS after
  ON after.account = before.account AND after.transaction_id = before.transaction_id AND after.valid_from = before.valid_to
WHERE before.settlement_id IS NOT NULL AND (before.settlement_id) IS DISTINCT FROM (after.settlement_id);

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
