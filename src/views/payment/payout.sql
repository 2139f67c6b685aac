CREATE VIEW analytics.payout AS
SELECT
  payout.account,
  payout.payout_id,
  payout.status,
  payout.approval,
  payout.payout_method_name AS method,
  payout.currency,
  payout.amount,
  payout.fee_taken,
  payout.fee_expected,
  payout.order_id,
  payout.created_at,
  payout.updated_at,
  pending.first_seen_at AS pending_seen_at,
  success.first_seen_at AS success_seen_at,
  failed.first_seen_at AS failed_seen_at,
  returned.first_seen_at AS returned_seen_at,
  CASE payout.status
    WHEN 'PENDING' THEN pending.first_seen_at
    WHEN 'SUCCESS' THEN success.first_seen_at
    WHEN 'FAILED' THEN failed.first_seen_at
    WHEN 'RETURNED' THEN returned.first_seen_at
    ELSE other.first_seen_at
  END AS status_seen_at,
  payout.removed_at,
  payout.provider_payout_id,
  payout.type,
  payout.due_date,
  payout.approved_at,
  payout.denied_at,
  payout.day,
  payout.time_zone,
  CASE WHEN payout.status NOT IN ('SUCCESS', 'FAILED', 'RETURNED') AND payout.day IS NOT NULL
    THEN greatest((now() AT TIME ZONE payout.time_zone)::date - payout.day, 0) END AS open_days,
  payout.fee_taken IS NULL AND payout.raw ->> 'fee_taken' ~ '\S' IS TRUE AS fee_taken_is_unreadable,
  payout.fee_expected IS NULL AND payout.raw ->> 'fee_expected' ~ '\S' IS TRUE AS fee_expected_is_unreadable
-- Joins of which Postgres leaves out those that a query does not ask for.
FROM warehouse.payouts AS payout
LEFT JOIN warehouse.payout_status_history AS pending
  ON pending.account = payout.account AND pending.payout_id = payout.payout_id AND pending.status = 'PENDING'
LEFT JOIN warehouse.payout_status_history AS success
  ON success.account = payout.account AND success.payout_id = payout.payout_id AND success.status = 'SUCCESS'
LEFT JOIN warehouse.payout_status_history AS failed
  ON failed.account = payout.account AND failed.payout_id = payout.payout_id AND failed.status = 'FAILED'
LEFT JOIN warehouse.payout_status_history AS returned
  ON returned.account = payout.account AND returned.payout_id = payout.payout_id AND returned.status = 'RETURNED'
LEFT JOIN warehouse.payout_status_history AS other
  ON other.account = payout.account AND other.payout_id = payout.payout_id AND other.status = payout.status
  AND other.status NOT IN ('PENDING', 'SUCCESS', 'FAILED', 'RETURNED');

COMMENT ON VIEW analytics.payout IS
  'Every payout, without the payee. Payouts that are no longer listed stay in, with removed_at.';
COMMENT ON COLUMN analytics.payout.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.payout.payout_id IS 'Id of the payout.';
COMMENT ON COLUMN analytics.payout.status IS 'Status as sent: PENDING, SUCCESS, FAILED, RETURNED, or a newer one.';
COMMENT ON COLUMN analytics.payout.approval IS 'Approval as sent: APPROVED, FAILED, or a newer one.';
COMMENT ON COLUMN analytics.payout.method IS 'Name of the payout method, as sent.';
COMMENT ON COLUMN analytics.payout.currency IS 'Currency of the amount; the fees are assumed to be in it, too.';
COMMENT ON COLUMN analytics.payout.amount IS 'Amount as sent.';
COMMENT ON COLUMN analytics.payout.fee_taken IS
  'Fee that was taken; null where none is sent or where it could not be read, see fee_taken_is_unreadable.';
COMMENT ON COLUMN analytics.payout.fee_expected IS
  'Fee that was expected; null where none is sent or where it could not be read, see fee_expected_is_unreadable.';
COMMENT ON COLUMN analytics.payout.order_id IS 'Id of the order, as sent.';
COMMENT ON COLUMN analytics.payout.created_at IS 'When it was created, as sent; null where the API does not say.';
COMMENT ON COLUMN analytics.payout.updated_at IS 'When it was last changed, as sent.';
COMMENT ON COLUMN analytics.payout.pending_seen_at IS 'When a sync first saw it as PENDING; null where none did.';
COMMENT ON COLUMN analytics.payout.success_seen_at IS 'When a sync first saw it as SUCCESS; null where none did.';
COMMENT ON COLUMN analytics.payout.failed_seen_at IS 'When a sync first saw it as FAILED; null where none did.';
COMMENT ON COLUMN analytics.payout.returned_seen_at IS 'When a sync first saw it as RETURNED; null where none did.';
COMMENT ON COLUMN analytics.payout.status_seen_at IS 'When a sync first saw it in the status that it has now.';
COMMENT ON COLUMN analytics.payout.removed_at IS 'When it was proven to be no longer listed; null while it is.';
COMMENT ON COLUMN analytics.payout.provider_payout_id IS
  'The payout''s id at the provider; the event_id of a transaction may be this one or payout_id.';
COMMENT ON COLUMN analytics.payout.type IS 'Type, as sent.';
COMMENT ON COLUMN analytics.payout.due_date IS 'Due date, as sent.';
COMMENT ON COLUMN analytics.payout.approved_at IS 'When it was approved, as sent.';
COMMENT ON COLUMN analytics.payout.denied_at IS 'When it was denied, as sent.';
COMMENT ON COLUMN analytics.payout.day IS 'Day of created_at, else of updated_at, in time_zone; null where neither is sent.';
COMMENT ON COLUMN analytics.payout.time_zone IS 'The account''s reporting time zone.';
COMMENT ON COLUMN analytics.payout.open_days IS
  'Days since day; null once it is SUCCESS, FAILED or RETURNED, and where day is.';
COMMENT ON COLUMN analytics.payout.fee_taken_is_unreadable IS
  'True where a fee was sent and could not be read: sums of fee_taken are not known.';
COMMENT ON COLUMN analytics.payout.fee_expected_is_unreadable IS
  'True where an expected fee was sent and could not be read: sums of fee_expected are not known.';
