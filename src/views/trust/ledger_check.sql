CREATE VIEW analytics.ledger_check AS
SELECT
  result.account,
  check_name AS "check",
  currency,
  left_amount,
  right_amount,
  difference,
  row_count,
  state,
  explanation,
  checked_at,
  differs_count,
  -- Results of one computation have one time.
  checked_at < max(checked_at) OVER (PARTITION BY result.account) OR changed.account IS NOT NULL AS is_outdated
FROM sync.ledger_checks AS result
LEFT JOIN (SELECT DISTINCT account FROM sync.figure_changes) AS changed ON changed.account = result.account;

COMMENT ON VIEW analytics.ledger_check IS
  'Equations that hold only if what the figures rest on holds: the data on their two sides come from different places. Computed after each run, rebuild, replay, erasure or change of a rule that changed something.';
COMMENT ON COLUMN analytics.ledger_check.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.ledger_check."check" IS
  'wallet_balance: balances of wallets = all movements, per owner. wallet_delta: change of wallets between two readings = change of the sum of movements as known at both, per owner; it needs no full history. net_amount: nets as sent = movements. reserve: reserved - released = actual - available balance. payouts: successful payouts = the transactions that name them. settlements: settlements and settled transactions without one = settled transactions. fees: fees with tax = fees without + tax. totals: stored totals = transactions. merchant_balance, payins: not read yet.';
COMMENT ON COLUMN analytics.ledger_check.currency IS 'Currency of the amounts.';
COMMENT ON COLUMN analytics.ledger_check.left_amount IS 'Left side of the equation; null where a part of it is not known.';
COMMENT ON COLUMN analytics.ledger_check.right_amount IS 'Right side of the equation; null where a part of it is not known.';
COMMENT ON COLUMN analytics.ledger_check.difference IS
  'left_amount - right_amount. It may be 0 where parts differ: in wallet_balance, if money is in another owner''s balance than assumed.';
COMMENT ON COLUMN analytics.ledger_check.row_count IS 'Parts that are compared: owners, transactions or payouts.';
COMMENT ON COLUMN analytics.ledger_check.state IS
  'ok: both sides are equal, in each part. differs: a part differs, and nothing that is known explains it. not_comparable: something is missing, see explanation.';
COMMENT ON COLUMN analytics.ledger_check.explanation IS
  'Reason why it differs or cannot be compared, and where to look; null where it holds.';
COMMENT ON COLUMN analytics.ledger_check.checked_at IS 'When it was computed.';
COMMENT ON COLUMN analytics.ledger_check.differs_count IS 'Parts that differ.';
COMMENT ON COLUMN analytics.ledger_check.is_outdated IS
  'True if figures changed after it was computed: a run is under way, was broken off, or has not computed it. totals is computed once a day where there are more than 250,000 transactions.';
