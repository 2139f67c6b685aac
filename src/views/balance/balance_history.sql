CREATE VIEW analytics.balance_history AS
WITH line AS (
  SELECT
    t.account, t.owner_id, t.scope, t.currency, t.transaction_id, 'amount' AS kind, t.created_at AS occurred_at, t.day, t.time_zone, t.event_type,
    t.direction * abs(t.amount)
      - CASE WHEN fee.is_apart OR t.fee_is_unreadable OR t.tax_is_unreadable THEN 0 ELSE coalesce(t.fee_including_tax, 0) END AS movement,
    NOT fee.is_apart AND (t.fee_is_unreadable OR t.tax_is_unreadable) AND t.direction IS NOT NULL AS is_unknown,
    t.is_assumed
  FROM analytics.settlement_transaction AS t
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = t.account
  CROSS JOIN LATERAL (
    SELECT t.fee_currency <> t.currency
      OR t.customer_id IS NOT NULL AND setting.fee_owner IS NOT DISTINCT FROM 'organization' AS is_apart
  ) AS fee
  UNION ALL
  -- A fee in another currency than the amount. It is left out where the direction is not known.
  SELECT
    t.account, t.owner_id, t.scope, t.fee_currency, t.transaction_id, 'fee', t.created_at, t.day, t.time_zone, t.event_type,
    CASE WHEN t.direction IS NOT NULL THEN -t.fee_including_tax END,
    (t.fee_is_unreadable OR t.tax_is_unreadable) AND t.direction IS NOT NULL, t.is_assumed
  FROM analytics.settlement_transaction AS t
  WHERE t.fee_currency <> t.currency
    AND NOT (t.customer_id IS NOT NULL AND EXISTS (
      SELECT FROM warehouse.account_settings AS setting WHERE setting.account = t.account AND setting.fee_owner = 'organization'))
  UNION ALL
  -- The fee of a customer's transaction, where the organization pays it.
  SELECT
    organization.account, organization.org_id, t.scope, t.fee_currency, t.transaction_id, 'fee', t.created_at, t.day, t.time_zone, t.event_type,
    CASE WHEN t.direction IS NOT NULL THEN -t.fee_including_tax END,
    (t.fee_is_unreadable OR t.tax_is_unreadable) AND t.direction IS NOT NULL, t.is_assumed
  FROM (
    SELECT DISTINCT paying.account, paying.org_id
    FROM warehouse.account_settings AS setting JOIN warehouse.transaction_owners AS paying ON paying.account = setting.account
    WHERE setting.fee_owner = 'organization' AND paying.is_customer
  ) AS organization
  -- A filter on the owner reaches the few organizations first, so that the history of a customer reads no other's transactions.
  CROSS JOIN LATERAL (
    SELECT * FROM analytics.settlement_transaction AS own
    WHERE own.account = organization.account AND own.org_id = organization.org_id AND own.customer_id IS NOT NULL
    OFFSET 0
  ) AS t
)
SELECT
  account, owner_id, scope, currency, transaction_id, kind, occurred_at, event_type,
  CASE WHEN NOT is_unknown THEN movement END AS movement,
  CASE WHEN NOT is_unknown_so_far THEN balance END AS balance,
  day,
  time_zone,
  is_assumed_so_far AS is_assumed
FROM (
  SELECT
    *,
    sum(movement) OVER so_far AS balance,
    bool_or(is_unknown) OVER so_far AS is_unknown_so_far,
    bool_or(is_assumed) OVER so_far AS is_assumed_so_far
  FROM line
  -- Partitioned by what people filter by, so that one owner's history is read without the others'.
  WINDOW so_far AS (
    PARTITION BY account, owner_id, currency ORDER BY occurred_at, transaction_id, kind ROWS UNBOUNDED PRECEDING
  )
) AS running
-- Out here it is tested after it was computed; below, Postgres would compute it once more for the test.
WHERE movement <> 0 OR is_unknown;

COMMENT ON VIEW analytics.balance_history IS
  'Movements of each owner''s balance with the balance after them, computed from the transactions. Assumed: how direction, amount and fee make a movement, and whose fee it is. Left out: what moves nothing, and transactions whose direction is not known with their fees (see unmapped_event_type).';
COMMENT ON COLUMN analytics.balance_history.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_history.owner_id IS
  'Owner of the balance that moves: the customer where the transaction names one, else the organization. A fee may be the organization''s, see PAYCOMBAT_FEE_OWNER.';
COMMENT ON COLUMN analytics.balance_history.scope IS 'Scope of the transaction, as sent.';
COMMENT ON COLUMN analytics.balance_history.currency IS 'Currency of movement and balance.';
COMMENT ON COLUMN analytics.balance_history.transaction_id IS 'Transaction that moves it.';
COMMENT ON COLUMN analytics.balance_history.kind IS
  'amount, or fee where the fee is a movement of its own: in another currency than the amount, or of another owner.';
COMMENT ON COLUMN analytics.balance_history.occurred_at IS 'When the transaction was created.';
COMMENT ON COLUMN analytics.balance_history.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.balance_history.movement IS
  'Assumed: direction x |amount|, less the fee with its tax where that is no movement of its own. A failed payment moves its fee only. Null, because it is not known, where the fee could not be read.';
COMMENT ON COLUMN analytics.balance_history.balance IS
  'Sum of this and all earlier movements of the owner in the currency; ties by transaction id. Starts at 0 with the first transaction that is known. Null from the first movement on that is not known.';
COMMENT ON COLUMN analytics.balance_history.day IS 'Day of occurred_at in time_zone.';
COMMENT ON COLUMN analytics.balance_history.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.balance_history.is_assumed IS
  'True if the balance rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
