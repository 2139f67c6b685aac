CREATE VIEW analytics.balance_history AS
WITH movement AS (
  SELECT
    account, owner_id, scope, currency, transaction_id, 'amount' AS kind, created_at AS occurred_at, event_type,
    direction * abs(amount) - CASE WHEN fee_currency = currency AND NOT fee_including_tax_is_unreadable
      THEN coalesce(fee_including_tax, 0) ELSE 0 END AS movement,
    fee_currency = currency AND fee_including_tax_is_unreadable AND direction IS NOT NULL AS is_unknown
  FROM analytics.settlement_transaction
  UNION ALL
  SELECT
    account, owner_id, scope, fee_currency, transaction_id, 'fee', created_at, event_type,
    -- The effect of the transaction is unknown, so its fee is left out, too.
    CASE WHEN direction IS NOT NULL THEN -fee_including_tax END,
    fee_including_tax_is_unreadable AND direction IS NOT NULL
  FROM analytics.settlement_transaction
  WHERE fee_currency <> currency
)
SELECT
  account, owner_id, scope, currency, transaction_id, kind, occurred_at, event_type,
  CASE WHEN NOT is_unknown THEN movement END AS movement,
  CASE WHEN NOT is_unknown_so_far THEN balance END AS balance
FROM (
  SELECT
    *,
    sum(movement) OVER so_far AS balance,
    bool_or(is_unknown) OVER so_far AS is_unknown_so_far
  FROM movement
  -- Partitioned by the columns of common filters, so that one owner's history is read without the others'.
  WINDOW so_far AS (
    PARTITION BY account, owner_id, currency ORDER BY occurred_at, transaction_id, kind ROWS UNBOUNDED PRECEDING
  )
) running
-- Tested here, after the computation. A test below makes Postgres compute it twice.
WHERE movement <> 0 OR is_unknown;

COMMENT ON VIEW analytics.balance_history IS
  'Movements of each owner''s balance with the balance after them, computed from the transactions. Assumed: how direction, amount and fee make a movement. Left out: transactions that move nothing, and transactions with an unknown direction, including their fees (see unmapped_event_type).';
COMMENT ON COLUMN analytics.balance_history.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_history.owner_id IS 'Owner of the balance: the customer if the transaction names one, else the organization.';
COMMENT ON COLUMN analytics.balance_history.scope IS 'Scope of the transaction, as sent.';
COMMENT ON COLUMN analytics.balance_history.currency IS 'Currency of movement and balance.';
COMMENT ON COLUMN analytics.balance_history.transaction_id IS 'Transaction that moves it.';
COMMENT ON COLUMN analytics.balance_history.kind IS
  'amount; or fee, for a fee in another currency than the amount, which is a movement of its own.';
COMMENT ON COLUMN analytics.balance_history.occurred_at IS 'When the transaction was created.';
COMMENT ON COLUMN analytics.balance_history.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.balance_history.movement IS
  'Assumed: direction x |amount|, less the fee with its tax if that is in the same currency. A failed payment moves only its fee. Null (unknown) if the fee could not be read.';
COMMENT ON COLUMN analytics.balance_history.balance IS
  'Sum of this and all earlier movements of the owner in the currency; ties by transaction id. Starts at 0 with the first known transaction. Null from the first unknown movement on.';
