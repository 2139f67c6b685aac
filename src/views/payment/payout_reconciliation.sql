CREATE VIEW analytics.payout_reconciliation AS
SELECT
  payout.account,
  payout.payout_id,
  payout.status,
  payout.amount,
  ledger.ledger_lines,
  ledger.ledger_movement,
  CASE
    WHEN ledger.has_return THEN 'returned'
    WHEN ledger.ledger_lines = 0 THEN CASE payout.status WHEN 'SUCCESS' THEN 'missing_in_ledger' ELSE 'agrees' END
    WHEN payout.status IN ('FAILED', 'RETURNED') THEN CASE
      WHEN ledger.ledger_movement <> 0 OR ledger.moves_other_currency THEN 'failed_but_moved' ELSE 'agrees' END
    WHEN ledger.moving_lines > 1 THEN 'several_lines'
    -- Not yet successful: a line that moves nothing is no contradiction.
    WHEN ledger.moving_lines = 0 AND payout.status <> 'SUCCESS' THEN 'agrees'
    WHEN ledger.paid IS DISTINCT FROM abs(payout.amount) OR ledger.moves_other_currency THEN 'amount_differs'
    ELSE 'agrees'
  END AS state,
  success.first_seen_at - pending.first_seen_at AS time_to_success,
  payout.currency,
  payout.provider_payout_id,
  payout.fee_taken,
  payout.fee_expected,
  ledger.unmapped_count,
  payout.created_at,
  payout.updated_at,
  payout.removed_at,
  ledger.is_assumed
FROM warehouse.payouts AS payout
CROSS JOIN LATERAL (
  SELECT
    count(*) AS ledger_lines,
    count(*) FILTER (WHERE rule.direction IS DISTINCT FROM 0) AS moving_lines,
    count(*) FILTER (WHERE rule.direction IS NULL) AS unmapped_count,
    sum(rule.direction * abs(line.amount)) FILTER (WHERE line.currency = payout.currency) AS ledger_movement,
    -- A line without a direction is compared as money that went out.
    -sum(coalesce(rule.direction, -1) * abs(line.amount)) FILTER (WHERE line.currency = payout.currency) AS paid,
    coalesce(bool_or(line.currency <> payout.currency AND rule.direction IS DISTINCT FROM 0), false) AS moves_other_currency,
    coalesce(bool_or(rule.rule <> 'no_movement' AND string_to_array(upper(btrim(rule.event_name)), '_') && '{RETURNED,REVERSED,REVERSAL}'), false)
      AS has_return,
    coalesce(bool_or(rule.is_assumed), false) AS is_assumed
  FROM warehouse.transactions AS line
  LEFT JOIN analytics.event_direction AS rule
    ON rule.event_type = line.event_type AND rule.event_name = coalesce(line.event_name, '') AND rule.is_negative = (line.amount < 0)
  WHERE line.event_id IN (payout.payout_id, payout.provider_payout_id) AND line.account = payout.account
) AS ledger
LEFT JOIN warehouse.payout_status_history AS pending
  ON pending.account = payout.account AND pending.payout_id = payout.payout_id AND pending.status = 'PENDING'
LEFT JOIN warehouse.payout_status_history AS success
  ON success.account = payout.account AND success.payout_id = payout.payout_id AND success.status = 'SUCCESS';

COMMENT ON VIEW analytics.payout_reconciliation IS
  'Each payout against the transactions whose event_id names it, by its own id or the provider''s. Assumed: what the transactions do to a balance, see event_direction. Payouts and transactions that are no longer listed stay in.';
COMMENT ON COLUMN analytics.payout_reconciliation.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.payout_reconciliation.payout_id IS 'Id of the payout.';
COMMENT ON COLUMN analytics.payout_reconciliation.status IS 'Status as sent: PENDING, SUCCESS, FAILED, RETURNED, or a newer one.';
COMMENT ON COLUMN analytics.payout_reconciliation.amount IS 'Amount of the payout.';
COMMENT ON COLUMN analytics.payout_reconciliation.ledger_lines IS
  'Transactions that name the payout, those that move nothing included.';
COMMENT ON COLUMN analytics.payout_reconciliation.ledger_movement IS
  'Assumed: sum of direction x |amount| of these in the payout''s currency, without fees; money out is negative. Null where no line with a known direction is in that currency.';
COMMENT ON COLUMN analytics.payout_reconciliation.state IS
  'The first that is true. returned: the name of a line says that the money came back. missing_in_ledger: successful, and no line names it. failed_but_moved: failed or returned, and the lines move money. several_lines: more than one line moves money. amount_differs: the line moves another amount, or another currency. agrees: none of these.';
COMMENT ON COLUMN analytics.payout_reconciliation.time_to_success IS
  'From the first sync that saw it PENDING to the first that saw it as SUCCESS; null unless syncs saw both.';
COMMENT ON COLUMN analytics.payout_reconciliation.currency IS 'Currency of amount and ledger_movement.';
COMMENT ON COLUMN analytics.payout_reconciliation.provider_payout_id IS 'The payout''s id at the provider.';
COMMENT ON COLUMN analytics.payout_reconciliation.fee_taken IS
  'Fee that was taken; null where none is sent or where it could not be read.';
COMMENT ON COLUMN analytics.payout_reconciliation.fee_expected IS
  'Fee that was expected; null where none is sent or where it could not be read.';
COMMENT ON COLUMN analytics.payout_reconciliation.unmapped_count IS
  'Lines whose direction is not known: in no ledger_movement. For the state they are taken for money that went out.';
COMMENT ON COLUMN analytics.payout_reconciliation.created_at IS 'When it was created, as sent; null where the API does not say.';
COMMENT ON COLUMN analytics.payout_reconciliation.updated_at IS 'When it was last changed, as sent.';
COMMENT ON COLUMN analytics.payout_reconciliation.removed_at IS
  'When the payout was proven to be no longer listed; null while it is.';
COMMENT ON COLUMN analytics.payout_reconciliation.is_assumed IS
  'True if ledger_movement and state rest on a rule of direction that is assumed: no person has confirmed it. See event_rule.';
