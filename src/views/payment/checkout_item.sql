CREATE VIEW analytics.checkout_item AS
SELECT
  item.account,
  item.checkout_id,
  item.position,
  checkout.customer_id,
  checkout.currency,
  item.quantity,
  item.unit_price,
  item.quantity * item.unit_price AS amount
FROM warehouse.checkout_items AS item
JOIN warehouse.checkouts AS checkout
  ON checkout.account = item.account AND checkout.checkout_id = item.checkout_id
WHERE checkout.removed_at IS NULL;

COMMENT ON VIEW analytics.checkout_item IS
  'Items of the checkouts that are still listed. A product''s name may name a person, and is left out.';
COMMENT ON COLUMN analytics.checkout_item.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.checkout_item.checkout_id IS 'Checkout that lists the item.';
COMMENT ON COLUMN analytics.checkout_item.position IS 'Place in the checkout''s list.';
COMMENT ON COLUMN analytics.checkout_item.customer_id IS 'Customer that the checkout names; null where it names none.';
COMMENT ON COLUMN analytics.checkout_item.currency IS 'Currency of the checkout.';
COMMENT ON COLUMN analytics.checkout_item.quantity IS 'Quantity; null where none is sent or where it could not be read.';
COMMENT ON COLUMN analytics.checkout_item.unit_price IS 'Price of one; null where none is sent or where it could not be read.';
COMMENT ON COLUMN analytics.checkout_item.amount IS 'quantity x unit_price; null where one of them is.';
