CREATE VIEW analytics.settlement AS
WITH part AS (
  SELECT
    total.account,
    total.settlement_id,
    total.currency,
    total.fee_currency,
    sum(total.transaction_count)::bigint AS transaction_count,
    coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction IS NULL), 0)::bigint AS unmapped_count,
    coalesce(sum(total.transaction_count) FILTER (WHERE rule.direction = 0), 0)::bigint AS unmoving_count,
    coalesce(sum(rule.direction * total.amount), 0) AS settlement_amount,
    CASE WHEN NOT coalesce(bool_or(total.unreadable_fee_count > 0) FILTER (WHERE rule.direction IS NOT NULL), false)
      THEN coalesce(sum(total.fee_amount) FILTER (WHERE rule.direction IS NOT NULL), 0) END AS fee_amount,
    CASE WHEN NOT coalesce(bool_or(total.unreadable_tax_count > 0) FILTER (WHERE rule.direction IS NOT NULL), false)
      THEN coalesce(sum(total.tax_amount) FILTER (WHERE rule.direction IS NOT NULL), 0) END AS tax_amount,
    coalesce(bool_or(rule.is_assumed), false) AS is_assumed,
    min(total.first_transaction_at) AS first_transaction_at,
    max(total.last_transaction_at) AS last_transaction_at,
    coalesce(
      bool_and(total.settled_count = total.transaction_count) FILTER (WHERE rule.direction IS DISTINCT FROM 0),
      true
    ) AS is_settled,
    max(total.settled_seen_at) FILTER (WHERE rule.direction IS DISTINCT FROM 0) AS settled_seen_at,
    max(total.settled_witnessed_at) FILTER (WHERE rule.direction IS DISTINCT FROM 0) AS settled_witnessed_at
  FROM warehouse.transaction_settlements AS total
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE total.transaction_count > 0
  GROUP BY total.account, total.settlement_id, total.currency, total.fee_currency
), whole AS (
  -- A settlement has one state, whatever its currencies.
  SELECT
    part.*,
    bool_and(is_settled) OVER settlement AS is_done,
    max(part.settled_seen_at) OVER settlement AS done_seen_at,
    max(part.settled_witnessed_at) OVER settlement AS done_witnessed_at
  FROM part
  WINDOW settlement AS (PARTITION BY account, settlement_id)
), unmoving AS MATERIALIZED (
  SELECT coalesce(jsonb_agg(jsonb_build_array(event_type, event_name, is_negative)::text), '[]') AS kinds
  FROM analytics.event_direction WHERE direction = 0
)
SELECT
  whole.account,
  whole.settlement_id,
  currency,
  fee_currency,
  CASE WHEN is_done THEN 'Done' ELSE 'In Progress' END AS status,
  transaction_count,
  unmapped_count,
  unmoving_count,
  settlement_amount,
  fee_amount,
  tax_amount,
  CASE WHEN fee_currency = currency THEN settlement_amount - fee_amount - tax_amount END AS payment_to_merchant_amount,
  first_transaction_at,
  last_transaction_at,
  CASE WHEN is_done THEN done_seen_at END AS settled_seen_at,
  CASE WHEN is_done THEN done_witnessed_at IS DISTINCT FROM done_seen_at END AS settled_seen_at_is_upper_bound,
  -- It was done in an earlier state where all that was not settled then moves nothing.
  coalesce(
    (SELECT bool_or(earlier.state <@ unmoving.kinds) FROM jsonb_array_elements(changed.states) AS earlier (state), unmoving),
    false
  ) AS changed_since_done,
  is_assumed
FROM whole
LEFT JOIN warehouse.settlement_states AS changed
  ON changed.account = whole.account AND changed.settlement_id = whole.settlement_id;

COMMENT ON VIEW analytics.settlement IS
  'Settlements: what was collected, what it cost, and what is paid to the merchant, per currency and fee currency. The payment per currency is in settlement_payment.';
COMMENT ON COLUMN analytics.settlement.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.settlement.settlement_id IS
  'Id of the settlement. Transactions without one are in settlement_transaction and settlement_daily only.';
COMMENT ON COLUMN analytics.settlement.currency IS
  'Currency of the transactions; amounts of different currencies are never added.';
COMMENT ON COLUMN analytics.settlement.fee_currency IS 'Currency of fee_amount and tax_amount.';
COMMENT ON COLUMN analytics.settlement.status IS
  'Done when every transaction of the settlement that moves money, in whatever currency, is settled; else In Progress. The dashboard''s third status, Failed, is in no record that the API sends.';
COMMENT ON COLUMN analytics.settlement.transaction_count IS 'Transactions, unmapped and unmoving ones included.';
COMMENT ON COLUMN analytics.settlement.unmapped_count IS
  'Transactions whose direction is not known: left out of all four amounts, see unmapped_event_type.';
COMMENT ON COLUMN analytics.settlement.unmoving_count IS
  'Transactions that move nothing, such as failed payments and reserves: they keep no settlement open. Their fees count.';
COMMENT ON COLUMN analytics.settlement.settlement_amount IS
  'Sum of direction x |amount|. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.settlement.fee_amount IS
  'Sum of fees without tax, in fee_currency; of failed payments too. Null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.settlement.tax_amount IS
  'Sum of tax on fees, in fee_currency; of failed payments too. Null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.settlement.payment_to_merchant_amount IS
  'settlement_amount - fee_amount - tax_amount; null where the fees are in another currency, or where one could not be read.';
COMMENT ON COLUMN analytics.settlement.first_transaction_at IS 'When the first of these transactions was created.';
COMMENT ON COLUMN analytics.settlement.last_transaction_at IS 'When the last of these transactions was created.';
COMMENT ON COLUMN analytics.settlement.settled_seen_at IS
  'When a sync first saw the last of the settlement''s moving transactions settled; null unless Done.';
COMMENT ON COLUMN analytics.settlement.settled_seen_at_is_upper_bound IS
  'True where that transaction was settled already when it was first read: the settlement was done at settled_seen_at or any time before. Null unless Done.';
COMMENT ON COLUMN analytics.settlement.changed_since_done IS
  'True if a transaction joined, left, changed its amounts, or was no longer settled after a complete run had left the settlement done. settlement_change has the transactions that joined, left or changed their state.';
COMMENT ON COLUMN analytics.settlement.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
