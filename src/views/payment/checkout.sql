CREATE VIEW analytics.checkout AS
SELECT
  checkout.account,
  checkout.checkout_id,
  checkout.customer_id,
  checkout.currency,
  checkout.amount,
  CASE
    WHEN checkout.expire_at IS NOT NULL THEN checkout.expire_at <= now()
    WHEN checkout.raw ->> 'expire_at' ~ '\S' THEN NULL
    ELSE false
  END AS is_expired,
  checkout.amount <> CASE
    WHEN item.item_count IS NULL THEN fee.amount WHEN fee.fee_count IS NULL THEN item.amount ELSE item.amount + fee.amount
  END AS sum_differs,
  checkout.deleted_at IS NOT NULL AS is_deleted,
  CASE
    WHEN item.item_count IS NULL THEN fee.amount WHEN fee.fee_count IS NULL THEN item.amount ELSE item.amount + fee.amount
  END AS line_amount,
  coalesce(item.item_count, 0) AS item_count,
  coalesce(fee.fee_count, 0) AS fee_count,
  checkout.merchant_id,
  checkout.country_code,
  checkout.payin_method_name AS method,
  checkout.payin_type,
  checkout.expire_at,
  checkout.created_at,
  checkout.updated_at,
  checkout.deleted_at,
  checkout.day,
  checkout.time_zone
FROM warehouse.checkouts AS checkout
-- Per checkout, so that a customer, a day or a preview reads no other checkout's lines. Null where one part is not known.
CROSS JOIN LATERAL (
  SELECT nullif(count(*), 0) AS item_count,
    CASE WHEN count(*) = count(line.quantity * line.unit_price) THEN sum(line.quantity * line.unit_price) END AS amount
  FROM warehouse.checkout_items AS line
  WHERE line.account = checkout.account AND line.checkout_id = checkout.checkout_id
) AS item
CROSS JOIN LATERAL (
  SELECT nullif(count(*), 0) AS fee_count, CASE WHEN count(*) = count(line.fee_amount) THEN sum(line.fee_amount) END AS amount
  FROM warehouse.checkout_fees AS line
  WHERE line.account = checkout.account AND line.checkout_id = checkout.checkout_id
) AS fee
WHERE checkout.removed_at IS NULL;

COMMENT ON VIEW analytics.checkout IS
  'Checkouts that are still listed, deleted ones included, without the token and addresses that open the payment page. No status is documented: whether a checkout was paid is not known.';
COMMENT ON COLUMN analytics.checkout.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.checkout.checkout_id IS 'Id of the checkout.';
COMMENT ON COLUMN analytics.checkout.customer_id IS 'Customer that it names; null where it names none.';
COMMENT ON COLUMN analytics.checkout.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.checkout.amount IS 'Amount to be paid.';
COMMENT ON COLUMN analytics.checkout.is_expired IS
  'True once expire_at is past; false where the checkout has none; null where it could not be read.';
COMMENT ON COLUMN analytics.checkout.sum_differs IS
  'True where items and fees do not add up to the amount, as the API documents that they do; null where it lists none of them, or where one of their values is not known.';
COMMENT ON COLUMN analytics.checkout.is_deleted IS 'True where the API says when it was deleted.';
COMMENT ON COLUMN analytics.checkout.line_amount IS 'Sum of quantity x unit price of the items and of the fees; null as sum_differs.';
COMMENT ON COLUMN analytics.checkout.item_count IS 'Items that it lists, see checkout_item.';
COMMENT ON COLUMN analytics.checkout.fee_count IS 'Fees that it lists.';
COMMENT ON COLUMN analytics.checkout.merchant_id IS 'Merchant of the checkout.';
COMMENT ON COLUMN analytics.checkout.country_code IS 'Country, as sent.';
COMMENT ON COLUMN analytics.checkout.method IS 'Name of the payin method, as sent.';
COMMENT ON COLUMN analytics.checkout.payin_type IS 'Type of the payin, as sent.';
COMMENT ON COLUMN analytics.checkout.expire_at IS 'When it expires, as sent.';
COMMENT ON COLUMN analytics.checkout.created_at IS 'When it was created, as sent.';
COMMENT ON COLUMN analytics.checkout.updated_at IS 'When it was last changed, as sent.';
COMMENT ON COLUMN analytics.checkout.deleted_at IS 'When it was deleted, as sent; null while it is not.';
COMMENT ON COLUMN analytics.checkout.day IS 'Day of created_at, else of updated_at, in time_zone; null where neither is sent.';
COMMENT ON COLUMN analytics.checkout.time_zone IS 'The account''s reporting time zone.';
