CREATE VIEW analytics.customer AS
SELECT
  customer.account,
  customer.customer_id,
  customer.type,
  customer.is_active,
  customer.status,
  customer.organization_reference_id,
  customer.gca_activation_status,
  customer.created_at,
  customer.removed_at,
  readiness.is_wallet_ready,
  customer.org_id,
  customer.is_enabled,
  customer.is_gca_enabled,
  customer.gca_activated_at,
  customer.updated_at,
  customer.is_wallet_ready AS is_wallet_ready_in_list
FROM warehouse.customers AS customer
LEFT JOIN warehouse.wallet_readiness AS readiness
  ON readiness.account = customer.account AND readiness.customer_id = customer.customer_id;

COMMENT ON VIEW analytics.customer IS
  'Every customer that was ever listed, without personal details. Customers who are no longer listed stay in, with removed_at.';
COMMENT ON COLUMN analytics.customer.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.customer.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN analytics.customer.type IS 'individual or company, as sent.';
COMMENT ON COLUMN analytics.customer.is_active IS 'True if the customer is active, as sent.';
COMMENT ON COLUMN analytics.customer.status IS 'Status, as sent: PENDING_INFO, UNDER_REVIEW, APPROVED, SUSPENDED, or a newer one.';
COMMENT ON COLUMN analytics.customer.organization_reference_id IS
  'The merchant''s own reference for the customer, as stored: hashed or empty where PAYCOMBAT_PII says so.';
COMMENT ON COLUMN analytics.customer.gca_activation_status IS
  'State of the global collection account, as sent: NOT_STARTED, APPROVAL_PENDING, IN_PROGRESS, COMPLETED, or a newer one.';
COMMENT ON COLUMN analytics.customer.created_at IS 'When the customer was created, as sent.';
COMMENT ON COLUMN analytics.customer.removed_at IS 'When the customer was proven to be no longer listed; null while listed.';
COMMENT ON COLUMN analytics.customer.is_wallet_ready IS
  'Latest answer to whether a wallet may be issued; null where no answer is known. It is not KYC approval. See kyc_status.';
COMMENT ON COLUMN analytics.customer.org_id IS 'Organization of the customer.';
COMMENT ON COLUMN analytics.customer.is_enabled IS 'True if the customer is enabled, as sent.';
COMMENT ON COLUMN analytics.customer.is_gca_enabled IS 'True if the global collection account is enabled, as sent.';
COMMENT ON COLUMN analytics.customer.gca_activated_at IS 'When the global collection account was activated, as sent.';
COMMENT ON COLUMN analytics.customer.updated_at IS 'When the customer''s record was last changed, as sent.';
COMMENT ON COLUMN analytics.customer.is_wallet_ready_in_list IS
  'Value in the customer''s own record, which may be older than the check.';
