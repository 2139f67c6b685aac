CREATE VIEW analytics.kyc_status AS
SELECT
  customer.account,
  customer.customer_id,
  customer.type AS customer_type,
  customer.is_active,
  customer.removed_at,
  readiness.is_wallet_ready,
  coalesce(readiness.missing_fields, '{}') AS missing_fields,
  readiness.checked_at,
  now() - answer.known_at AS answer_age,
  readiness.check_error,
  readiness.check_error IS NOT NULL AND readiness.is_wallet_ready IS TRUE AS ready_but_check_fails,
  coalesce(customer.is_wallet_ready <> readiness.is_wallet_ready, false) AS list_differs,
  CASE
    WHEN customer.removed_at IS NOT NULL THEN 'removed'
    WHEN readiness.customer_id IS NULL THEN 'never_checked'
    WHEN readiness.is_wallet_ready IS NULL THEN 'check_failed'
    WHEN readiness.is_wallet_ready THEN 'ready'
    ELSE 'not_ready'
  END AS state,
  answer.known_at AS answered_at,
  customer.is_wallet_ready AS is_wallet_ready_in_list
FROM warehouse.customers AS customer
LEFT JOIN warehouse.wallet_readiness AS readiness
  ON readiness.account = customer.account AND readiness.customer_id = customer.customer_id
CROSS JOIN LATERAL (
  SELECT CASE
    WHEN readiness.is_wallet_ready IS NULL THEN NULL
    WHEN readiness.check_error IS NULL THEN readiness.checked_at
    -- An earlier version recorded only when the answer was first given. It may have been given again since.
    ELSE coalesce(readiness.answered_at, (
      SELECT history.valid_from FROM warehouse.wallet_readiness_history AS history
      WHERE history.account = customer.account AND history.customer_id = customer.customer_id AND history.valid_to IS NULL
    ))
  END AS known_at
) AS answer;

COMMENT ON VIEW analytics.kyc_status IS
  'Every customer, ready or not, still listed or not, with the latest answer to whether a wallet may be issued and the age of that answer. Readiness is not KYC approval.';
COMMENT ON COLUMN analytics.kyc_status.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.kyc_status.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.kyc_status.customer_type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.kyc_status.is_active IS 'True if the customer is active, as sent.';
COMMENT ON COLUMN analytics.kyc_status.removed_at IS 'When the customer was proven to be no longer listed; null while listed.';
COMMENT ON COLUMN analytics.kyc_status.is_wallet_ready IS
  'Latest answer; null where no answer is known. A check that fails leaves the answer before it.';
COMMENT ON COLUMN analytics.kyc_status.missing_fields IS
  'Names of the missing fields in the latest answer, sorted; never their values. Empty where no answer is known.';
COMMENT ON COLUMN analytics.kyc_status.checked_at IS 'Time of the latest check, whatever its result; null if there was none.';
COMMENT ON COLUMN analytics.kyc_status.answer_age IS
  'Time since answered_at; null where no answer is known.';
COMMENT ON COLUMN analytics.kyc_status.check_error IS 'Error of the latest check; null if it did not fail.';
COMMENT ON COLUMN analytics.kyc_status.ready_but_check_fails IS
  'True where the latest answer was ready, and the latest check failed: nothing confirms the answer any more.';
COMMENT ON COLUMN analytics.kyc_status.list_differs IS
  'True where the customer''s own record says otherwise than the latest answer. The record may be older.';
COMMENT ON COLUMN analytics.kyc_status.state IS
  'removed: no longer listed. never_checked: not asked yet. check_failed: asked, never answered. ready or not_ready: the latest answer.';
COMMENT ON COLUMN analytics.kyc_status.answered_at IS
  'When the answer was last given, before checks that failed. Null where no answer is known.';
COMMENT ON COLUMN analytics.kyc_status.is_wallet_ready_in_list IS
  'Value in the customer''s own record, which may be older than the check.';
