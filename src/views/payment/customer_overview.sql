CREATE VIEW analytics.customer_overview AS
WITH line AS (
  SELECT
    total.account, total.owner_id AS customer_id, total.currency, total.event_type, rule.direction, total.transaction_count,
    rule.direction * total.amount AS amount, total.first_transaction_at, total.last_transaction_at,
    CASE WHEN total.fee_currency = total.currency AND rule.direction IS NOT NULL THEN total.fee_amount + total.tax_amount ELSE 0 END AS fee_and_tax,
    total.fee_currency = total.currency AND rule.direction IS NOT NULL
      AND total.unreadable_fee_count + total.unreadable_tax_count > 0 AS is_unknown, coalesce(rule.is_assumed, false) AS is_assumed
  FROM warehouse.transaction_owners AS total
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE total.is_customer AND total.transaction_count > 0
  UNION ALL
  SELECT
    total.account, total.owner_id, total.fee_currency, total.event_type, rule.direction, 0, 0, NULL, NULL,
    total.fee_amount + total.tax_amount, total.unreadable_fee_count + total.unreadable_tax_count > 0, rule.is_assumed
  FROM warehouse.transaction_owners AS total
  JOIN analytics.event_direction AS rule
    ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
  WHERE total.is_customer AND total.transaction_count > 0 AND rule.direction IS NOT NULL AND total.fee_currency <> total.currency
    AND (total.fee_count + total.tax_count > 0 OR total.unreadable_fee_count + total.unreadable_tax_count > 0)
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
    bool_or(is_assumed) AS is_assumed
  FROM line
  GROUP BY account, customer_id, currency
)
SELECT
  summed.account,
  summed.customer_id,
  summed.currency,
  summed.first_payment_at,
  summed.last_payment_at,
  summed.transaction_count,
  summed.payment_count,
  summed.gross_amount,
  summed.refund_count,
  summed.refund_amount,
  summed.chargeback_count,
  summed.chargeback_amount,
  summed.chargeback_count::numeric / nullif(summed.payment_count, 0) AS chargeback_rate,
  summed.fee_and_tax,
  summed.net_amount,
  CASE WHEN setting.fee_owner IS NOT DISTINCT FROM 'organization' THEN summed.amount ELSE summed.net_amount END AS balance,
  summed.unmapped_count,
  readiness.is_wallet_ready,
  customer.removed_at,
  summed.is_assumed
FROM summed
LEFT JOIN warehouse.account_settings AS setting ON setting.account = summed.account
LEFT JOIN warehouse.wallet_readiness AS readiness ON readiness.account = summed.account AND readiness.customer_id = summed.customer_id
LEFT JOIN warehouse.customers AS customer ON customer.account = summed.account AND customer.customer_id = summed.customer_id;

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
