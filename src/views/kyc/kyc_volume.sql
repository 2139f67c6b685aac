CREATE VIEW analytics.kyc_volume AS
WITH volume AS (
  SELECT account, customer_id, currency, sum(transaction_count)::bigint AS transaction_count, sum(amount) AS amount,
    sum(unsettled_count)::bigint AS unsettled_count, sum(unsettled_amount) AS unsettled_amount,
    sum(unmapped_count)::bigint AS unmapped_count, bool_or(is_assumed) AS is_assumed
  FROM (
    -- Two parts each: one for customers, whose id a filter finds in an index, and one for the organization.
    SELECT total.account, total.owner_id AS customer_id, total.currency, total.transaction_count,
      coalesce(rule.direction * total.amount, 0) AS amount, 0 AS unsettled_count, 0::numeric AS unsettled_amount,
      CASE WHEN rule.direction IS NULL THEN total.transaction_count ELSE 0 END AS unmapped_count, coalesce(rule.is_assumed, false) AS is_assumed
    FROM warehouse.transaction_owners AS total
    LEFT JOIN analytics.event_direction AS rule
      ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
    WHERE total.is_customer AND total.transaction_count > 0
    UNION ALL
    SELECT total.account, NULL, total.currency, total.transaction_count,
      coalesce(rule.direction * total.amount, 0), 0, 0,
      CASE WHEN rule.direction IS NULL THEN total.transaction_count ELSE 0 END, coalesce(rule.is_assumed, false)
    FROM warehouse.transaction_owners AS total
    LEFT JOIN analytics.event_direction AS rule
      ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
    WHERE NOT total.is_customer AND total.transaction_count > 0
    UNION ALL
    SELECT account, customer_id, currency, 0, 0, 1, coalesce(direction * abs(amount), 0), 0, is_assumed
    FROM analytics.settlement_transaction
    WHERE NOT is_settled AND direction IS DISTINCT FROM 0 AND customer_id IS NOT NULL
    UNION ALL
    SELECT account, NULL, currency, 0, 0, 1, coalesce(direction * abs(amount), 0), 0, is_assumed
    FROM analytics.settlement_transaction
    WHERE NOT is_settled AND direction IS DISTINCT FROM 0 AND customer_id IS NULL
  ) AS part
  GROUP BY account, customer_id, currency
)
SELECT
  volume.account,
  volume.customer_id,
  volume.currency,
  CASE
    WHEN volume.customer_id IS NULL THEN 'organization'
    WHEN customer.customer_id IS NULL THEN 'not_listed'
    WHEN customer.removed_at IS NOT NULL THEN 'removed'
    WHEN readiness.customer_id IS NULL THEN 'never_checked'
    WHEN readiness.is_wallet_ready IS NULL THEN 'check_failed'
    WHEN readiness.is_wallet_ready THEN 'ready'
    ELSE 'not_ready'
  END AS state,
  volume.transaction_count,
  volume.amount,
  volume.unsettled_count,
  volume.unsettled_amount,
  volume.unmapped_count,
  customer.type AS customer_type,
  customer.is_active,
  customer.removed_at,
  volume.is_assumed
FROM volume
LEFT JOIN warehouse.customers AS customer
  ON customer.account = volume.account AND customer.customer_id = volume.customer_id
LEFT JOIN warehouse.wallet_readiness AS readiness
  ON readiness.account = volume.account AND readiness.customer_id = volume.customer_id;

COMMENT ON VIEW analytics.kyc_volume IS
  'All money by the readiness of the customer behind it. Every transaction is in one row, also those of customers who are no longer listed or never were, and those of the organization itself.';
COMMENT ON COLUMN analytics.kyc_volume.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_volume.customer_id IS
  'Customer that the transactions name; null for transactions that name none.';
COMMENT ON COLUMN analytics.kyc_volume.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.kyc_volume.state IS
  'ready or not_ready: the latest answer. never_checked: not asked yet. check_failed: asked, never answered. removed: the customer is no longer listed. not_listed: no list ever showed the customer. organization: no customer is named.';
COMMENT ON COLUMN analytics.kyc_volume.transaction_count IS
  'Transactions, those that move nothing and unmapped ones included.';
COMMENT ON COLUMN analytics.kyc_volume.amount IS 'Sum of direction x |amount|, without fees. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.kyc_volume.unsettled_count IS
  'Transactions not yet settled, unmapped ones included, without those that move nothing.';
COMMENT ON COLUMN analytics.kyc_volume.unsettled_amount IS 'Sum of direction x |amount| of these. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.kyc_volume.unmapped_count IS
  'Transactions in transaction_count whose direction is not known: counted, in no amount.';
COMMENT ON COLUMN analytics.kyc_volume.customer_type IS 'individual or company, as sent; null where the customer was never listed.';
COMMENT ON COLUMN analytics.kyc_volume.is_active IS 'True if the customer is active, as sent.';
COMMENT ON COLUMN analytics.kyc_volume.removed_at IS 'When the customer was proven to be no longer listed; null while listed.';
COMMENT ON COLUMN analytics.kyc_volume.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
