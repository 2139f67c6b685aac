-- A warehouse of :transactions transactions of 20,000 owners over two years, with payouts, checkouts and
-- readiness to match, made by the database itself. Records are as wide as real ones: a scan costs what it costs.
CREATE TEMPORARY TABLE owner AS
SELECT n, 'customer_' || md5(n::text) AS customer_id, 'org_' || md5('0') AS org_id FROM generate_series(1, 20000) n;
CREATE INDEX ON owner (n);

INSERT INTO warehouse.customers (account, raw, content_hash, read_at, first_seen_at, run_id, customer_id, org_id, type, is_active, created_at)
SELECT 'default', jsonb_build_object('pad', repeat(md5(n::text), 20)), md5(n::text), now(), now(), gen_random_uuid(),
  customer_id, org_id, CASE WHEN n % 5 = 0 THEN 'company' ELSE 'individual' END, true, now() - interval '2 years'
FROM owner;

INSERT INTO warehouse.wallets (account, raw, content_hash, read_at, first_seen_at, run_id, wallet_id, org_id, customer_id)
SELECT 'default', jsonb_build_object('pad', repeat(md5(n::text), 10)), md5(n::text), now(), now(), gen_random_uuid(),
  'wallet_' || n, org_id, customer_id
FROM owner;

INSERT INTO warehouse.wallet_accounts (account, read_at, first_seen_at, run_id, wallet_account_id, wallet_id, currency, actual_balance)
SELECT 'default', now(), now(), gen_random_uuid(), 'part_' || n || currency, 'wallet_' || n, currency, n
FROM owner, unnest(ARRAY['USD', 'EUR', 'GBP']) currency;

-- A part at a time, so that the totals' temporary files stay small.
INSERT INTO warehouse.transactions (account, raw, content_hash, read_at, first_seen_at, run_id, transaction_id, org_id, customer_id, owner_id,
  amount, currency, fees_currency, fees_without_tax, tax_on_fees, fees_including_tax, event_type, event_name, is_settled, settlement_id, created_at, event_id)
SELECT 'default', jsonb_build_object('pad', repeat(md5(i::text), 15)), md5(i::text), now(), CASE WHEN i > total / 2 THEN now() - interval '2 years' * (1 - i::float / total) ELSE now() END,
  gen_random_uuid(), 'txn_' || md5(i::text), org_id,
  CASE WHEN i % 50 > 0 THEN customer_id END, CASE WHEN i % 50 > 0 THEN customer_id ELSE org_id END,
  (i % 100000) / 100.0, currency, CASE WHEN i % 20 = 0 THEN 'USD' ELSE currency END, 0.5, 0.1, 0.6,
  (ARRAY['PAYIN', 'PAYIN', 'PAYIN', 'PAYOUT', 'REFUND', 'RESERVE', 'CREDIT', 'DEBIT'])[1 + i % 8],
  CASE WHEN i % 97 = 0 THEN 'FAILED' ELSE 'COMPLETED' END, i < total * 0.95, 'settlement_' || i / 400,
  now() - interval '2 years' * (1 - i::float / total), CASE WHEN i % 8 = 3 THEN 'payout_' || i / 8 ELSE 'payin_' || md5(i::text) END
FROM (
  SELECT i, total, (hashint4(i) & 2147483647) % 20000 + 1 AS n, (ARRAY['USD', 'EUR', 'GBP'])[1 + (hashint4(i) & 2147483647) % 3] AS currency
  FROM (SELECT :transactions AS total) size, generate_series(:first, :last) i
) made
JOIN owner USING (n);

INSERT INTO warehouse.settlement_history
SELECT account, transaction_id, created_at + interval '3 days' FROM warehouse.transactions WHERE is_settled;

-- The second half was read before it was settled, and one in a hundred of it left another settlement.
INSERT INTO warehouse.transaction_settlement_history (account, transaction_id, valid_from, valid_to, settlement_id, is_settled)
SELECT t.account, t.transaction_id, period.*
FROM warehouse.transactions AS t
CROSS JOIN LATERAL (
  SELECT t.first_seen_at, t.first_seen_at + interval '3 days', CASE WHEN hashtext(t.transaction_id) % 100 = 0 THEN 'settlement_1' END, false
  UNION ALL SELECT t.first_seen_at + interval '3 days', NULL, t.settlement_id, true
) AS period
WHERE t.is_settled AND t.first_seen_at = t.created_at;

-- One settlement in ten changed after a run had left it done.
INSERT INTO warehouse.settlement_states (account, settlement_id, changed_at, states)
SELECT 'default', 'settlement_' || n, now(), '[[]]' FROM generate_series(0, :transactions / 400, 10) n;

INSERT INTO warehouse.payouts (account, raw, content_hash, read_at, first_seen_at, run_id, payout_id, status, amount, currency, fee_taken, created_at)
SELECT 'default', jsonb_build_object('pad', repeat(md5(i::text), 15)), md5(i::text), now(), now(), gen_random_uuid(), 'payout_' || i,
  (ARRAY['SUCCESS', 'PENDING', 'FAILED'])[1 + i % 3], i / 100.0, (ARRAY['USD', 'EUR', 'GBP'])[1 + i % 3], 0.5,
  now() - interval '2 years' * (1 - i::float / total)
FROM (SELECT :transactions / 5 AS total) size, generate_series(1, total) i;

INSERT INTO warehouse.checkouts (account, raw, content_hash, read_at, first_seen_at, run_id, checkout_id, customer_id, amount, currency, expire_at, created_at)
SELECT 'default', jsonb_build_object('pad', repeat(md5(i::text), 15)), md5(i::text), now(), now(), gen_random_uuid(), 'checkout_' || i,
  'customer_' || md5(((hashint4(i) & 2147483647) % 20000 + 1)::text), i / 100.0, (ARRAY['USD', 'EUR', 'GBP'])[1 + i % 3],
  created_at + interval '30 days', created_at
FROM (
  SELECT i, now() - interval '2 years' * (1 - i::float / total) AS created_at
  FROM (SELECT :transactions / 5 AS total) size, generate_series(1, total) i
) made;

INSERT INTO warehouse.payout_status_history (account, payout_id, status, first_seen_at)
SELECT account, payout_id, 'PENDING', created_at FROM warehouse.payouts
UNION ALL SELECT account, payout_id, status, created_at + interval '1 day' FROM warehouse.payouts WHERE status <> 'PENDING';

INSERT INTO warehouse.wallet_balance_snapshots (account, wallet_account_id, observed_at, currency, actual_balance, available_balance)
SELECT account, wallet_account_id, now() - interval '1 month' * n, currency, n, n FROM warehouse.wallet_accounts, generate_series(1, 5) n;

INSERT INTO warehouse.checkout_items (account, checkout_id, position, quantity, unit_price)
SELECT account, checkout_id, n, 1, 5 FROM warehouse.checkouts, generate_series(1, 2) n;

INSERT INTO warehouse.checkout_fees (account, checkout_id, position, fee_amount)
SELECT account, checkout_id, 1, 5 FROM warehouse.checkouts;

-- Four states each, a month apart; a third of the customers is not ready now.
INSERT INTO warehouse.wallet_readiness_history (account, customer_id, valid_from, valid_to, is_wallet_ready, missing_fields)
SELECT 'default', customer_id, now() - interval '1 month' * (5 - state), CASE WHEN state < 4 THEN now() - interval '1 month' * (4 - state) END,
  is_ready, CASE WHEN is_ready THEN '{}' ELSE ARRAY['dob', 'email', 'phone_number'] END
FROM owner, generate_series(1, 4) state, LATERAL (SELECT state = CASE WHEN n % 3 = 0 THEN 1 ELSE 4 END AS is_ready) ready;

INSERT INTO warehouse.wallet_readiness (account, customer_id, is_wallet_ready, missing_fields, checked_at, run_id)
SELECT account, customer_id, is_wallet_ready, missing_fields, now(), gen_random_uuid()
FROM warehouse.wallet_readiness_history WHERE valid_to IS NULL;

VACUUM ANALYZE warehouse.customers, warehouse.wallets, warehouse.wallet_accounts, warehouse.transactions, warehouse.settlement_history,
  warehouse.payouts, warehouse.checkouts, warehouse.wallet_readiness, warehouse.wallet_readiness_history,
  warehouse.payout_status_history, warehouse.wallet_balance_snapshots, warehouse.checkout_items, warehouse.checkout_fees,
  warehouse.transaction_owners, warehouse.transaction_kinds, warehouse.transaction_days, warehouse.transaction_settlements,
  warehouse.transaction_settlement_history, warehouse.settlement_states;
