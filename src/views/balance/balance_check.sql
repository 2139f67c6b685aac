CREATE VIEW analytics.balance_check AS
SELECT
  account,
  currency,
  count(*) AS owner_count,
  count(*) FILTER (WHERE state = 'agrees') AS agrees_count,
  count(*) FILTER (WHERE state = 'differs') AS differs_count,
  count(*) FILTER (WHERE state = 'wallet_only') AS wallet_only_count,
  count(*) FILTER (WHERE state = 'ledger_only') AS ledger_only_count,
  CASE WHEN bool_and(wallet_balance IS NOT NULL) FILTER (WHERE wallet_count + deleted_wallet_count > 0) IS NOT FALSE
    THEN coalesce(sum(wallet_balance), 0) END AS wallet_balance,
  CASE WHEN bool_and(difference_without_fees IS NULL OR difference IS NOT NULL) THEN coalesce(sum(ledger_balance), 0) END AS ledger_balance,
  CASE WHEN bool_and(difference IS NOT NULL) THEN sum(difference) END AS difference,
  CASE WHEN bool_and(difference_without_fees IS NOT NULL) THEN sum(difference_without_fees) END AS difference_without_fees,
  sum(blocked_balance) AS blocked_balance,
  sum(unmapped_count)::bigint AS unmapped_count,
  bool_or(is_assumed) AS is_assumed
FROM analytics.balance_reconciliation
GROUP BY account, currency;

COMMENT ON VIEW analytics.balance_check IS
  'balance_reconciliation in sum: per account and currency, how many owners agree, and what all of them differ by together. If the sum agrees and owners do not, money is in the balance of another owner than assumed.';
COMMENT ON COLUMN analytics.balance_check.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.balance_check.currency IS 'Currency of all amounts.';
COMMENT ON COLUMN analytics.balance_check.owner_count IS
  'Owners with a wallet account in the currency, a movement in it, or a transaction without a direction.';
COMMENT ON COLUMN analytics.balance_check.agrees_count IS 'Owners whose wallets and movements are equal.';
COMMENT ON COLUMN analytics.balance_check.differs_count IS 'Owners whose wallets and movements differ.';
COMMENT ON COLUMN analytics.balance_check.wallet_only_count IS 'Owners without a movement that is known.';
COMMENT ON COLUMN analytics.balance_check.ledger_only_count IS 'Owners without a wallet account in the currency.';
COMMENT ON COLUMN analytics.balance_check.wallet_balance IS 'Sum of all wallets; null where one is not known.';
COMMENT ON COLUMN analytics.balance_check.ledger_balance IS 'Sum of all movements; null where one is not known.';
COMMENT ON COLUMN analytics.balance_check.difference IS
  'wallet_balance - ledger_balance; null where one is not known.';
COMMENT ON COLUMN analytics.balance_check.difference_without_fees IS 'The same if fees moved nothing.';
COMMENT ON COLUMN analytics.balance_check.blocked_balance IS 'Sum of what is held back: actual less available.';
COMMENT ON COLUMN analytics.balance_check.unmapped_count IS 'Transactions whose direction is not known: in no sum.';
COMMENT ON COLUMN analytics.balance_check.is_assumed IS
  'True if ledger_balance rests on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
