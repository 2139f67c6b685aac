CREATE VIEW analytics.kyc_evidence AS
SELECT
  h.account,
  h.customer_id,
  h.is_wallet_ready,
  h.missing_fields,
  h.valid_from AS first_asked_at,
  h.first_run_id,
  h.first_raw AS first_answer,
  coalesce(latest.answered_at, h.last_confirmed_at, h.valid_from) AS last_asked_at,
  CASE WHEN h.valid_to IS NULL THEN latest.answered_run_id IS NULL ELSE h.last_confirmed_at IS NULL END AS last_asked_at_is_lower_bound,
  CASE WHEN h.valid_to IS NULL THEN latest.answered_run_id ELSE h.last_run_id END AS last_run_id,
  h.valid_to AS changed_seen_at,
  customer.removed_at
FROM warehouse.wallet_readiness_history AS h
LEFT JOIN warehouse.customers AS customer ON customer.account = h.account AND customer.customer_id = h.customer_id
LEFT JOIN LATERAL (
  SELECT
    greatest(CASE WHEN state.check_error IS NULL THEN state.checked_at ELSE state.answered_at END, h.valid_from) AS answered_at,
    CASE WHEN state.check_error IS NULL THEN state.run_id ELSE state.answered_run_id END AS answered_run_id
  FROM warehouse.wallet_readiness AS state
  WHERE state.account = h.account AND state.customer_id = h.customer_id AND h.valid_to IS NULL
) AS latest ON true;

COMMENT ON VIEW analytics.kyc_evidence IS
  'Evidence of the readiness of a customer: each state, when the API was asked first and last and answered so, what it answered, and by which run. A failed check is no answer. Wallet readiness is not KYC approval.';
COMMENT ON COLUMN analytics.kyc_evidence.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_evidence.customer_id IS 'Customer.';
COMMENT ON COLUMN analytics.kyc_evidence.is_wallet_ready IS 'The answer: true if a wallet may be issued.';
COMMENT ON COLUMN analytics.kyc_evidence.missing_fields IS 'The answer: names of the missing details, sorted.';
COMMENT ON COLUMN analytics.kyc_evidence.first_asked_at IS
  'When the API was first asked and answered so. The state began between the check before and this one.';
COMMENT ON COLUMN analytics.kyc_evidence.first_run_id IS
  'Run that asked first; null for a state that began before this was recorded.';
COMMENT ON COLUMN analytics.kyc_evidence.first_answer IS
  'The first answer as JSON, without fields that may be personal; null for a state that began before this was recorded.';
COMMENT ON COLUMN analytics.kyc_evidence.last_asked_at IS 'When the API was last asked and answered so.';
COMMENT ON COLUMN analytics.kyc_evidence.last_asked_at_is_lower_bound IS
  'True where the last time was not recorded: the API was asked then, and may have been asked again later.';
COMMENT ON COLUMN analytics.kyc_evidence.last_run_id IS 'Run that asked last; null if it was not recorded.';
COMMENT ON COLUMN analytics.kyc_evidence.changed_seen_at IS
  'When the API first gave another answer; null while the state lasts.';
COMMENT ON COLUMN analytics.kyc_evidence.removed_at IS
  'When the customer was proven to be removed; null while the customer is listed.';
