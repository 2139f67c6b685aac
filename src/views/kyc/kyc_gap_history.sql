CREATE VIEW analytics.kyc_gap_history AS
SELECT
  history.account,
  history.customer_id,
  history.is_wallet_ready,
  history.missing_fields,
  history.valid_from,
  history.valid_to,
  customer.removed_at,
  customer.type AS customer_type,
  customer.is_active
FROM warehouse.wallet_readiness_history history
JOIN warehouse.customers customer
  ON customer.account = history.account AND customer.customer_id = history.customer_id;

COMMENT ON VIEW analytics.kyc_gap_history IS
  'Every readiness state of a customer, including ready ones. A failed check is not a state. Customers who are no longer listed stay in, with removed_at.';
COMMENT ON COLUMN analytics.kyc_gap_history.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_gap_history.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_gap_history.is_wallet_ready IS 'True if a wallet could be issued in this period.';
COMMENT ON COLUMN analytics.kyc_gap_history.missing_fields IS 'Names of the fields that were missing, sorted.';
COMMENT ON COLUMN analytics.kyc_gap_history.valid_from IS 'Time of the first check with this answer.';
COMMENT ON COLUMN analytics.kyc_gap_history.valid_to IS 'Time of the first check with another answer; null for the current period.';
COMMENT ON COLUMN analytics.kyc_gap_history.removed_at IS
  'When the customer was proven to be no longer listed; null while listed.';
COMMENT ON COLUMN analytics.kyc_gap_history.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_gap_history.is_active IS 'True if the customer is active now, as sent.';
