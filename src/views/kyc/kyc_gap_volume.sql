CREATE VIEW analytics.kyc_gap_volume AS
WITH part AS (
  SELECT
    account, customer_id, currency, 1::bigint AS open_count, amount AS open_amount, 0::bigint AS unsettled_count,
    NULL::numeric AS unsettled_amount, 0::bigint AS unmapped_count, false AS is_assumed
  FROM warehouse.checkouts
  WHERE removed_at IS NULL AND deleted_at IS NULL AND expire_at > now()
  UNION ALL
  SELECT account, customer_id, currency, 1, amount, 0, NULL, 0, false
  FROM warehouse.checkouts
  WHERE removed_at IS NULL AND deleted_at IS NULL AND expire_at IS NULL
  UNION ALL
  SELECT total.account, total.owner_id, total.currency, 0, NULL, total.unsettled_count, rule.direction * total.unsettled_amount,
    CASE WHEN rule.direction IS NULL THEN total.unsettled_count ELSE 0 END, coalesce(rule.is_assumed, false)
  FROM warehouse.transaction_owners AS total
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  -- A transaction that moves nothing is never unsettled.
  WHERE total.is_customer AND total.unsettled_count > 0 AND rule.direction IS DISTINCT FROM 0
),
-- Summed up before the join: Postgres takes the customers that it joins for few, and would look each of them up.
volume AS (
  SELECT account, customer_id, currency, sum(open_count)::bigint AS open_checkout_count, coalesce(sum(open_amount), 0) AS open_checkout_amount,
    sum(unsettled_count)::bigint AS unsettled_count, coalesce(sum(unsettled_amount), 0) AS unsettled_amount,
    sum(unmapped_count)::bigint AS unmapped_count, bool_or(is_assumed) AS is_assumed
  FROM part
  GROUP BY account, customer_id, currency
)
SELECT
  gap.account,
  gap.customer_id,
  volume.currency,
  volume.open_checkout_count,
  volume.open_checkout_amount,
  volume.unsettled_count,
  volume.unsettled_amount,
  volume.unmapped_count,
  gap.reason,
  volume.is_assumed
FROM analytics.kyc_gap AS gap
JOIN volume ON volume.account = gap.account AND volume.customer_id = gap.customer_id;

COMMENT ON VIEW analytics.kyc_gap_volume IS
  'Money that waits for a readiness gap: open checkouts and unsettled transactions of customers in kyc_gap. A customer without either has no row.';
COMMENT ON COLUMN analytics.kyc_gap_volume.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap_volume.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_gap_volume.currency IS 'Currency of both amounts.';
COMMENT ON COLUMN analytics.kyc_gap_volume.open_checkout_count IS
  'Checkouts neither expired nor deleted. No payment state is documented, so paid ones may be among them: an upper bound.';
COMMENT ON COLUMN analytics.kyc_gap_volume.open_checkout_amount IS 'Sum of their amounts; an upper bound.';
COMMENT ON COLUMN analytics.kyc_gap_volume.unsettled_count IS
  'Transactions not yet settled, unmapped ones included, without those that move nothing.';
COMMENT ON COLUMN analytics.kyc_gap_volume.unsettled_amount IS 'Sum of direction x |amount| of these. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.kyc_gap_volume.unmapped_count IS 'Unsettled transactions with an unknown direction: counted, in no amount.';
COMMENT ON COLUMN analytics.kyc_gap_volume.reason IS 'Reason for which the customer is in kyc_gap.';
COMMENT ON COLUMN analytics.kyc_gap_volume.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
