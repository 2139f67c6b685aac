CREATE VIEW analytics.customer_overview AS
-- The parts have no conditions of their own, and all is joined before it is summed up, so that Postgres may read the totals in
-- the order of an index and stop after some customers.
WITH part AS (
  SELECT account, owner_id AS customer_id, currency, event_type, event_name, is_negative, transaction_count, amount,
    first_transaction_at, last_transaction_at, fee_amount + tax_amount AS fee_and_tax, unreadable_fee_count + unreadable_tax_count AS unreadable_count,
    is_customer, true AS is_amount, fee_currency = currency AS has_fee, true AS is_part
  FROM warehouse.transaction_owners
  UNION ALL
  -- Fees in another currency than the amount.
  SELECT account, owner_id, fee_currency, event_type, event_name, is_negative, transaction_count, amount,
    first_transaction_at, last_transaction_at, fee_amount + tax_amount, unreadable_fee_count + unreadable_tax_count,
    is_customer, false, true, fee_currency <> currency AND fee_count + tax_count + unreadable_fee_count + unreadable_tax_count > 0
  FROM warehouse.transaction_owners
), line AS (
  SELECT
    part.account, part.customer_id, part.currency, part.event_type, rule.direction,
    CASE WHEN part.is_amount THEN part.transaction_count ELSE 0 END AS transaction_count,
    CASE WHEN part.is_amount THEN rule.direction * part.amount ELSE 0 END AS amount,
    CASE WHEN part.is_amount THEN part.first_transaction_at END AS first_transaction_at,
    CASE WHEN part.is_amount THEN part.last_transaction_at END AS last_transaction_at,
    CASE WHEN part.has_fee AND rule.direction IS NOT NULL THEN part.fee_and_tax ELSE 0 END AS fee_and_tax,
    part.has_fee AND rule.direction IS NOT NULL AND part.unreadable_count > 0 AS is_unknown,
    coalesce(rule.is_assumed, false) AS is_assumed, readiness.is_wallet_ready, customer.removed_at
  FROM part
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = part.event_type AND rule.event_name = part.event_name AND rule.is_negative = part.is_negative
  LEFT JOIN warehouse.wallet_readiness AS readiness
    ON readiness.account = part.account AND readiness.customer_id = part.customer_id
  LEFT JOIN warehouse.customers AS customer ON customer.account = part.account AND customer.customer_id = part.customer_id
  WHERE part.is_customer AND part.transaction_count > 0 AND part.is_part AND (part.is_amount OR rule.direction IS NOT NULL)
), summed AS (
  SELECT
    account, customer_id, currency,
    min(first_transaction_at) FILTER (WHERE event_type = 'PAYIN' AND direction <> 0) AS first_payment_at,
    max(last_transaction_at) FILTER (WHERE event_type = 'PAYIN' AND direction <> 0) AS last_payment_at,
    sum(transaction_count)::bigint AS transaction_count,
    coalesce(sum(transaction_count) FILTER (WHERE event_type = 'PAYIN' AND direction <> 0), 0)::bigint AS payment_count,
    coalesce(sum(amount) FILTER (WHERE event_type = 'PAYIN'), 0) AS gross_amount,
    coalesce(sum(transaction_count) FILTER (WHERE event_type = 'REFUND' AND direction <> 0), 0)::bigint AS refund_count,
    coalesce(sum(amount) FILTER (WHERE event_type = 'REFUND'), 0) AS refund_amount,
    coalesce(sum(transaction_count) FILTER (WHERE event_type = 'CHARGEBACK' AND direction <> 0), 0)::bigint AS chargeback_count,
    coalesce(sum(amount) FILTER (WHERE event_type = 'CHARGEBACK'), 0) AS chargeback_amount,
    CASE WHEN NOT bool_or(is_unknown) THEN sum(fee_and_tax) END AS fee_and_tax,
    CASE WHEN NOT bool_or(is_unknown) THEN coalesce(sum(amount), 0) - sum(fee_and_tax) END AS net_amount,
    coalesce(sum(amount), 0) AS amount,
    coalesce(sum(transaction_count) FILTER (WHERE direction IS NULL), 0)::bigint AS unmapped_count,
    bool_or(is_assumed) AS is_assumed,
    -- The same in all lines of a customer.
    bool_or(is_wallet_ready) AS is_wallet_ready,
    max(removed_at) AS removed_at
  FROM line
  GROUP BY customer_id, account, currency
)
SELECT
  account,
  customer_id,
  currency,
  first_payment_at,
  last_payment_at,
  transaction_count,
  payment_count,
  gross_amount,
  refund_count,
  refund_amount,
  chargeback_count,
  chargeback_amount,
  chargeback_count::numeric / nullif(payment_count, 0) AS chargeback_rate,
  fee_and_tax,
  net_amount,
  CASE WHEN account = ANY (ARRAY(SELECT setting.account FROM warehouse.account_settings AS setting WHERE setting.fee_owner = 'organization'))
    THEN amount ELSE net_amount END AS balance,
  unmapped_count,
  is_wallet_ready,
  removed_at,
  is_assumed
FROM summed;

COMMENT ON VIEW analytics.customer_overview IS
  'Each customer that transactions name, listed or not: payments, refunds, chargebacks, fees and balance per currency. Assumed where is_assumed is true.';
COMMENT ON COLUMN analytics.customer_overview.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.customer_overview.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.customer_overview.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.customer_overview.first_payment_at IS
  'When the first payin that moves money was created.';
COMMENT ON COLUMN analytics.customer_overview.last_payment_at IS 'When the last payin that moves money was created.';
COMMENT ON COLUMN analytics.customer_overview.transaction_count IS
  'Transactions in the currency, of every type, unmapped ones included.';
COMMENT ON COLUMN analytics.customer_overview.payment_count IS 'Payins that move money.';
COMMENT ON COLUMN analytics.customer_overview.gross_amount IS 'Their movements, without fees.';
COMMENT ON COLUMN analytics.customer_overview.refund_count IS 'Refunds that move money.';
COMMENT ON COLUMN analytics.customer_overview.refund_amount IS 'Their movements, without fees: negative.';
COMMENT ON COLUMN analytics.customer_overview.chargeback_count IS 'Chargebacks that move money.';
COMMENT ON COLUMN analytics.customer_overview.chargeback_amount IS 'Their movements, without fees: negative.';
COMMENT ON COLUMN analytics.customer_overview.chargeback_rate IS
  'chargeback_count / payment_count; null without a payment.';
COMMENT ON COLUMN analytics.customer_overview.fee_and_tax IS
  'Fees in the currency with their tax; null, because it is not known, where one of them could not be read.';
COMMENT ON COLUMN analytics.customer_overview.net_amount IS
  'Movements of every type less fee_and_tax; null where that is.';
COMMENT ON COLUMN analytics.customer_overview.balance IS
  'Balance of the customer, as balance_history has it after the last movement: net_amount, or without the fees where PAYCOMBAT_FEE_OWNER says that the organization pays them.';
COMMENT ON COLUMN analytics.customer_overview.unmapped_count IS
  'Transactions whose direction is not known: in no amount.';
COMMENT ON COLUMN analytics.customer_overview.is_wallet_ready IS
  'Latest answer about wallet readiness; null where there is none.';
COMMENT ON COLUMN analytics.customer_overview.removed_at IS
  'When the customer was proven to be no longer listed; null while it is, or where it never was.';
COMMENT ON COLUMN analytics.customer_overview.is_assumed IS
  'True if an amount of the row rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
