CREATE VIEW analytics.kyc_volume AS
-- The parts have no conditions of their own, and all is joined before it is summed up, so that Postgres may read the totals in
-- the order of an index and stop after some customers.
WITH part AS (
  SELECT account, owner_id AS customer_id, is_customer AS is_part, currency, event_type, event_name, is_negative,
    transaction_count, amount, unsettled_count, unsettled_amount
  FROM warehouse.transaction_owners
  UNION ALL
  -- The organization's own.
  SELECT account, NULL::text, NOT is_customer, currency, event_type, event_name, is_negative,
    transaction_count, amount, unsettled_count, unsettled_amount
  FROM warehouse.transaction_owners
), volume AS (
  SELECT part.account, part.customer_id, part.currency,
    sum(part.transaction_count)::bigint AS transaction_count,
    coalesce(sum(rule.direction * part.amount), 0) AS amount,
    coalesce(sum(part.unsettled_count) FILTER (WHERE rule.direction IS DISTINCT FROM 0), 0)::bigint AS unsettled_count,
    coalesce(sum(rule.direction * part.unsettled_amount), 0) AS unsettled_amount,
    coalesce(sum(part.transaction_count) FILTER (WHERE rule.direction IS NULL), 0)::bigint AS unmapped_count,
    coalesce(bool_or(rule.is_assumed), false) AS is_assumed,
    -- The same in all parts of a customer.
    bool_or(customer.customer_id IS NOT NULL) AS is_listed,
    max(customer.type) AS customer_type,
    bool_or(customer.is_active) AS is_active,
    max(customer.removed_at) AS removed_at,
    bool_or(readiness.customer_id IS NOT NULL) AS is_checked,
    bool_or(readiness.is_wallet_ready) AS is_wallet_ready
  FROM part
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = part.event_type AND rule.event_name = part.event_name AND rule.is_negative = part.is_negative
  LEFT JOIN warehouse.customers AS customer ON customer.account = part.account AND customer.customer_id = part.customer_id
  LEFT JOIN warehouse.wallet_readiness AS readiness
    ON readiness.account = part.account AND readiness.customer_id = part.customer_id
  WHERE part.is_part AND part.transaction_count > 0
  GROUP BY part.customer_id, part.account, part.currency
)
SELECT
  account,
  customer_id,
  currency,
  CASE
    WHEN customer_id IS NULL THEN 'organization'
    WHEN NOT is_listed THEN 'not_listed'
    WHEN removed_at IS NOT NULL THEN 'removed'
    WHEN NOT is_checked THEN 'never_checked'
    WHEN is_wallet_ready IS NULL THEN 'check_failed'
    WHEN is_wallet_ready THEN 'ready'
    ELSE 'not_ready'
  END AS state,
  transaction_count,
  amount,
  unsettled_count,
  unsettled_amount,
  unmapped_count,
  customer_type,
  is_active,
  removed_at,
  is_assumed
FROM volume;

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
