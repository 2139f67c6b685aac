CREATE VIEW analytics.kyc_gap_volume AS
WITH volume AS (
  SELECT
    account, customer_id, currency, amount AS open_amount, true AS is_checkout, NULL::numeric AS unsettled_amount,
    false AS is_unmapped, false AS is_assumed
  FROM warehouse.checkouts
  WHERE removed_at IS NULL AND deleted_at IS NULL AND (expire_at IS NULL OR expire_at > now())
  UNION ALL
  SELECT account, customer_id, currency, NULL, false, direction * abs(amount), direction IS NULL, is_assumed
  FROM analytics.settlement_transaction
  -- A transaction that moves nothing is never unsettled.
  WHERE NOT is_settled AND direction IS DISTINCT FROM 0
)
SELECT
  gap.account,
  gap.customer_id,
  volume.currency,
  count(*) FILTER (WHERE volume.is_checkout) AS open_checkout_count,
  coalesce(sum(volume.open_amount), 0) AS open_checkout_amount,
  count(*) FILTER (WHERE NOT volume.is_checkout) AS unsettled_count,
  coalesce(sum(volume.unsettled_amount), 0) AS unsettled_amount,
  count(*) FILTER (WHERE volume.is_unmapped) AS unmapped_count,
  gap.reason,
  bool_or(volume.is_assumed) AS is_assumed
FROM analytics.kyc_gap gap
JOIN volume ON volume.account = gap.account AND volume.customer_id = gap.customer_id
GROUP BY gap.account, gap.customer_id, volume.currency, gap.reason;

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
