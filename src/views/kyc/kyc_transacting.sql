CREATE VIEW analytics.kyc_transacting AS
SELECT
  customer.account,
  customer.customer_id,
  line.currency,
  count(*) FILTER (WHERE rule.direction IS NOT NULL) AS transaction_count,
  coalesce(sum(abs(line.amount)) FILTER (WHERE rule.direction > 0), 0) AS money_in,
  coalesce(sum(abs(line.amount)) FILTER (WHERE rule.direction < 0), 0) AS money_out,
  min(line.created_at) AS first_at,
  max(line.created_at) AS last_at,
  count(*) FILTER (WHERE rule.direction IS NULL) AS unmapped_count,
  customer.type AS customer_type,
  customer.is_active,
  customer.removed_at,
  coalesce(bool_or(rule.is_assumed), false) AS is_assumed
FROM warehouse.wallet_readiness_history AS history
JOIN warehouse.customers AS customer
  ON customer.account = history.account AND customer.customer_id = history.customer_id
JOIN warehouse.transactions AS line
  ON line.account = history.account AND line.customer_id = history.customer_id
  AND line.created_at >= history.valid_from AND line.created_at < coalesce(history.valid_to, 'infinity')
LEFT JOIN analytics.event_direction AS rule
  ON rule.event_type = line.event_type AND rule.event_name = coalesce(line.event_name, '') AND rule.is_negative = (line.amount < 0)
WHERE NOT history.is_wallet_ready AND rule.direction IS DISTINCT FROM 0
GROUP BY customer.account, customer.customer_id, line.currency, customer.type, customer.is_active, customer.removed_at;

COMMENT ON VIEW analytics.kyc_transacting IS
  'Money that customers moved while they were not ready, by the time at which the transaction was created. Known from the first answer on: what a customer moved before that is not here. Customers who are no longer listed stay in, with removed_at.';
COMMENT ON COLUMN analytics.kyc_transacting.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_transacting.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_transacting.currency IS 'Currency of both amounts.';
COMMENT ON COLUMN analytics.kyc_transacting.transaction_count IS
  'Transactions that moved money in or out while the customer was not ready. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.kyc_transacting.money_in IS 'Sum of their amounts, money in. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.kyc_transacting.money_out IS
  'Sum of their amounts, money out, as a positive amount. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.kyc_transacting.first_at IS 'When the first of them was created, unmapped ones included.';
COMMENT ON COLUMN analytics.kyc_transacting.last_at IS 'When the last of them was created, unmapped ones included.';
COMMENT ON COLUMN analytics.kyc_transacting.unmapped_count IS
  'Transactions beside these whose direction is not known: counted, in no amount.';
COMMENT ON COLUMN analytics.kyc_transacting.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_transacting.is_active IS 'True if the customer is active now, as sent.';
COMMENT ON COLUMN analytics.kyc_transacting.removed_at IS
  'When the customer was proven to be no longer listed; null while listed.';
COMMENT ON COLUMN analytics.kyc_transacting.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
