/**
 * Equations among transactions, payouts and totals, in SQL: queries as in `walletEquations.ts`. All but `PAYOUTS` and
 * `TOTALS` read totals, and no rows but the few that differ.
 */

const RULE = `analytics.event_direction AS rule
  ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative`

/**
 * Nets as sent against movements. Lines that move nothing are left out: their net is not documented. A net of money out may
 * be sent with or without a minus. Kinds of which only some carry a net are compared line by line, and are in no amount.
 */
export const NET_AMOUNT = `
  SELECT currency,
    sum(net) FILTER (WHERE is_whole) AS left_amount,
    sum(movement) FILTER (WHERE is_whole) AS right_amount,
    sum(net - movement) FILTER (WHERE is_whole) AS difference,
    sum(net_count)::bigint AS row_count,
    greatest(sum(differs_count), (coalesce(sum(net - movement) FILTER (WHERE is_whole), 0) <> 0)::int)::bigint AS differs_count,
    CASE WHEN sum(net_count) = 0 THEN 1 ELSE 0 END AS open_count,
    'No transaction carries a net amount.' AS open_text,
    false AS is_waiting,
    'Transactions whose net amount is not their amount less the fee: ' || sum(differs_count) || ' of ' || sum(net_count)
      || ', of type ' || string_agg(DISTINCT event_type, ', ') FILTER (WHERE differs_count > 0 OR is_whole AND net <> movement)
      || '. Either the direction or the sign of these types is wrong, or their fee is inside the amount: see event_rule.' AS differs_text
  FROM (
    SELECT total.currency, total.event_type, total.net_count, total.net_count = total.transaction_count AS is_whole,
      CASE WHEN rule.direction = -1 THEN -abs(total.net_amount) ELSE total.net_amount END AS net,
      rule.direction * total.amount
        - CASE WHEN total.fee_currency = total.currency THEN total.fee_amount + total.tax_amount ELSE 0 END AS movement,
      CASE rule.direction WHEN 1 THEN total.net_differs_in_count ELSE total.net_differs_out_count END AS differs_count
    FROM warehouse.transaction_kinds AS total JOIN ${RULE}
    WHERE total.account = $1 AND total.transaction_count > 0 AND rule.direction <> 0
  ) AS kind
  GROUP BY currency`

/** $2: time up to which transactions are known. Owners without a wallet are left to `wallet_balance`. */
export const RESERVE = `
  SELECT currency,
    CASE WHEN bool_and(blocked IS NOT NULL) THEN sum(outstanding) END AS left_amount,
    CASE WHEN bool_and(blocked IS NOT NULL) THEN sum(blocked) END AS right_amount,
    CASE WHEN bool_and(blocked IS NOT NULL) THEN sum(outstanding - blocked) END AS difference,
    count(*) AS row_count,
    count(*) FILTER (WHERE verdict = 'differs') AS differs_count,
    count(*) FILTER (WHERE verdict NOT IN ('agrees', 'differs')) AS open_count,
    count(*) FILTER (WHERE verdict = 'late') > 0 AS is_waiting,
    concat_ws(' ',
      'Owners that cannot be compared: ' || count(*) FILTER (WHERE verdict NOT IN ('agrees', 'differs')) || ' of ' || count(*) || '.',
      CASE WHEN count(*) FILTER (WHERE verdict = 'unknown') > 0 THEN 'Their wallets state no available balance, or it could not be read.' END,
      CASE WHEN count(*) FILTER (WHERE verdict = 'late') > 0 THEN 'Money was reserved or released after their wallets were read, or transactions are known up to an earlier time only: the next run compares.' END,
      CASE WHEN count(*) FILTER (WHERE verdict = 'unmapped') > 0 THEN 'Names of reserves may say the contrary, see reserve.unmapped_count: run \`paycombat-sync directions list\`.' END
    ) AS open_text,
    'Owners of whom more or less is held back than was reserved and not released: ' || count(*) FILTER (WHERE verdict = 'differs') || ' of ' || count(*)
      || ', see reserve and wallet_balance. Either something else holds money back, or the list of transactions does not reach back far enough.' AS differs_text
  FROM (
    SELECT held.currency, held.blocked, coalesce(reserve.outstanding, 0) AS outstanding, CASE
      WHEN held.blocked IS NULL THEN 'unknown'
      WHEN held.blocked = coalesce(reserve.outstanding, 0) THEN 'agrees'
      WHEN reserve.unmapped_count > 0 THEN 'unmapped'
      WHEN held.observed_at > $2 OR EXISTS (
        SELECT FROM warehouse.transactions AS t
        WHERE t.account = $1 AND t.owner_id = held.owner_id AND t.currency = held.currency AND t.event_type IN ('RESERVE', 'RELEASE')
          AND t.created_at > held.observed_at - interval '1 minute') THEN 'late'
      ELSE 'differs' END AS verdict
    FROM (
      SELECT owner_id, currency, CASE WHEN bool_and(blocked_balance IS NOT NULL) THEN sum(blocked_balance) END AS blocked, max(read_at) AS observed_at
      FROM analytics.wallet_balance WHERE account = $1 AND NOT is_deleted GROUP BY owner_id, currency
    ) AS held
    LEFT JOIN analytics.reserve ON reserve.account = $1 AND reserve.owner_id = held.owner_id AND reserve.currency = held.currency
  ) AS owner
  GROUP BY currency`

/** $2: time up to which transactions are known. Payouts that may still succeed or fail are left out. */
export const PAYOUTS = `
  SELECT currency, sum(paid) AS left_amount, sum(moved) AS right_amount, sum(paid - moved) AS difference,
    count(*) AS row_count,
    count(*) FILTER (WHERE verdict = 'differs') AS differs_count,
    count(*) FILTER (WHERE verdict IN ('late', 'unmapped')) AS open_count,
    count(*) FILTER (WHERE verdict = 'late') > 0 AS is_waiting,
    concat_ws(' ',
      CASE WHEN count(*) FILTER (WHERE verdict = 'late') > 0 THEN 'Payouts that changed after the time up to which transactions are known: '
        || count(*) FILTER (WHERE verdict = 'late') || '. The next run compares.' END,
      CASE WHEN count(*) FILTER (WHERE verdict = 'unmapped') > 0 THEN 'Payouts with a transaction without a direction: ' || count(*) FILTER (WHERE verdict = 'unmapped')
        || '. Run \`paycombat-sync directions list\`.' END
    ) AS open_text,
    'Payouts whose transactions do not move what was paid out: ' || count(*) FILTER (WHERE verdict = 'differs') || ' of ' || count(*)
      || ' (' || (SELECT string_agg(each.state || ' ' || each.n, ', ' ORDER BY each.state) FROM (
        SELECT state, count(*) AS n FROM unnest(array_agg(payout.state) FILTER (WHERE verdict = 'differs')) AS state GROUP BY state) AS each)
      || '), see payout_reconciliation.' AS differs_text
  FROM (
    SELECT currency, state, paid, moved, CASE
      WHEN paid = moved THEN 'agrees'
      WHEN unmapped_count > 0 THEN 'unmapped'
      WHEN read_at > $2 THEN 'late'
      ELSE 'differs' END AS verdict
    FROM (
      SELECT line.currency, line.state, line.unmapped_count, payout.read_at,
        CASE line.status WHEN 'SUCCESS' THEN abs(line.amount) ELSE 0 END AS paid, -coalesce(line.ledger_movement, 0) AS moved
      FROM analytics.payout_reconciliation AS line
      JOIN warehouse.payouts AS payout ON payout.account = line.account AND payout.payout_id = line.payout_id
      WHERE line.account = $1 AND line.status IN ('SUCCESS', 'FAILED', 'RETURNED')
    ) AS each
  ) AS payout
  GROUP BY currency`

/**
 * Settled money by settlement, and without one, against settled money by day. A settlement that holds the payout which pays
 * it adds up to nothing: the payout is taken out on the left.
 */
export const SETTLEMENTS = `
  WITH total AS (
    SELECT total.currency, total.settlement_id, sum(rule.direction * total.amount) AS amount,
      sum(rule.direction * total.amount - CASE WHEN total.fee_currency = total.currency THEN total.fee_amount + total.tax_amount ELSE 0 END) AS net,
      sum(rule.direction * total.amount) FILTER (WHERE total.event_type = 'PAYOUT' AND rule.direction = -1) AS paid_out
    FROM warehouse.transaction_settlements AS total JOIN ${RULE}
    WHERE total.account = $1 AND total.transaction_count > 0 AND rule.direction IS NOT NULL
    GROUP BY total.currency, total.settlement_id
  ), settlement AS (
    SELECT currency, count(*) AS n, count(*) FILTER (WHERE is_paid_inside) AS inside_count,
      sum(amount) AS amount, coalesce(sum(paid_out) FILTER (WHERE is_paid_inside), 0) AS inside
    FROM total CROSS JOIN LATERAL (SELECT coalesce(paid_out < 0 AND (amount = 0 OR net = 0), false) AS is_paid_inside) AS own
    GROUP BY currency
  ), day AS (
    SELECT total.currency, sum(total.transaction_count) FILTER (WHERE total.is_settled) AS n,
      coalesce(sum(rule.direction * total.amount) FILTER (WHERE total.is_settled), 0) AS settled,
      coalesce(sum(rule.direction * total.amount) FILTER (WHERE total.is_settled AND NOT total.has_settlement), 0) AS without,
      coalesce(sum(rule.direction * total.amount) FILTER (WHERE NOT total.is_settled AND total.has_settlement), 0) AS unsettled
    FROM warehouse.transaction_days AS total JOIN ${RULE}
    WHERE total.account = $1 AND total.transaction_count > 0 AND rule.direction IS NOT NULL
    GROUP BY total.currency
  )
  SELECT currency, left_amount, right_amount, left_amount - right_amount AS difference, row_count,
    CASE WHEN inside_count > 0 THEN inside_count WHEN left_amount <> right_amount THEN 1 ELSE 0 END AS differs_count,
    0 AS open_count, NULL AS open_text, false AS is_waiting,
    CASE WHEN inside_count > 0 THEN 'Settlements that add up to 0, because the payout which pays them is one of their transactions: ' || inside_count || ' of ' || settlement_count
        || '. Their payment_to_merchant_amount is what is left after it, see settlement_breakdown.'
      ELSE 'Totals of settlements and of days have parted: run \`paycombat-sync rebuild\`, which makes them anew, and report it.' END AS differs_text
  FROM (
    SELECT currency, coalesce(settlement.n, 0) AS settlement_count, coalesce(day.n, 0)::bigint AS row_count, coalesce(settlement.inside_count, 0) AS inside_count,
      coalesce(settlement.amount, 0) - coalesce(settlement.inside, 0) - coalesce(day.unsettled, 0) + coalesce(day.without, 0) AS left_amount,
      coalesce(day.settled, 0) AS right_amount
    FROM settlement FULL JOIN day USING (currency)
  ) AS both_sides`

/** Fees with tax, as sent, against fees without tax and tax. A transaction that does not send all three is equal on both sides. */
export const FEES = `
  SELECT total.currency, total.amount + coalesce(odd.difference, 0) AS left_amount, total.amount AS right_amount,
    coalesce(odd.difference, 0) AS difference, total.n AS row_count, coalesce(odd.n, 0) AS differs_count,
    0 AS open_count, NULL AS open_text, false AS is_waiting,
    'Transactions whose fee with tax is not the sum of fee and tax: ' || odd.n || ' of ' || total.n
      || '. Figures use fees_without_tax and tax_on_fees.' AS differs_text
  FROM (
    SELECT fee_currency AS currency, sum(fee_amount + tax_amount) AS amount, sum(greatest(fee_count, tax_count))::bigint AS n
    FROM warehouse.transaction_kinds WHERE account = $1 AND transaction_count > 0 AND fee_count + tax_count > 0 GROUP BY fee_currency
  ) AS total
  LEFT JOIN (
    SELECT fee_currency AS currency, sum(fees_including_tax - fees_without_tax - tax_on_fees) AS difference, count(*) AS n
    FROM warehouse.transactions WHERE account = $1 AND fees_including_tax <> fees_without_tax + tax_on_fees GROUP BY fee_currency
  ) AS odd USING (currency)`

const KEYS = "currency, fee_currency, event_type, event_name, is_negative"

/** Each of the four totals, in sum, against the rows: it reads every transaction of the account. Two of them have what is not settled, too. */
export const TOTALS = `
  WITH sums AS (
    SELECT 'kinds' AS of, ${KEYS}, transaction_count AS n, amount, fee_amount AS fee, tax_amount AS tax, NULL::bigint AS open_n, NULL::numeric AS open
      FROM warehouse.transaction_kinds WHERE account = $1
    UNION ALL SELECT 'days', ${KEYS}, transaction_count, amount, fee_amount, tax_amount,
      CASE WHEN is_settled THEN 0 ELSE transaction_count END, CASE WHEN is_settled THEN 0 ELSE amount END
      FROM warehouse.transaction_days WHERE account = $1
    UNION ALL SELECT 'owners', ${KEYS}, transaction_count, amount, fee_amount, tax_amount, unsettled_count, unsettled_amount
      FROM warehouse.transaction_owners WHERE account = $1
    UNION ALL SELECT 'settlements', ${KEYS}, transaction_count, amount, fee_amount, tax_amount, NULL, NULL
      FROM warehouse.transaction_settlements WHERE account = $1
    UNION ALL SELECT 'settlements', ${KEYS}, transaction_count, amount, fee_amount, tax_amount, NULL, NULL FROM warehouse.transaction_days
      WHERE account = $1 AND NOT has_settlement
  ), line AS MATERIALIZED (
    SELECT currency, fee_currency, event_type, coalesce(event_name, '') AS event_name, amount < 0 AS is_negative, count(*) AS n,
      sum(abs(amount)) AS amount, coalesce(sum(fee_amount), 0) AS fee, coalesce(sum(tax_amount), 0) AS tax,
      count(*) FILTER (WHERE NOT is_settled) AS open_n, coalesce(sum(abs(amount)) FILTER (WHERE NOT is_settled), 0) AS open
    FROM warehouse.transactions WHERE account = $1 GROUP BY 1, 2, 3, 4, 5
  ), kept AS (
    SELECT of, ${KEYS}, sum(n) AS n, sum(amount) AS amount, sum(fee) AS fee, sum(tax) AS tax, sum(open_n) AS open_n, sum(open) AS open
    FROM sums GROUP BY of, ${KEYS}
  )
  SELECT currency, max(kept_amount) FILTER (WHERE of = 'kinds') AS left_amount, max(row_amount) FILTER (WHERE of = 'kinds') AS right_amount,
    max(kept_amount - row_amount) FILTER (WHERE of = 'kinds') AS difference, max(row_count)::bigint AS row_count,
    count(*) FILTER (WHERE has_parted) AS differs_count, 0 AS open_count, NULL AS open_text, false AS is_waiting,
    'Totals that are not the sum of their rows: ' || string_agg('transaction_' || of, ', ' ORDER BY of) FILTER (WHERE has_parted)
      || '. Run \`paycombat-sync rebuild\`, which makes them anew, and report it.' AS differs_text
  FROM (
    SELECT of, currency, coalesce(sum(kept.amount), 0) AS kept_amount, coalesce(sum(line.amount), 0) AS row_amount, coalesce(sum(line.n), 0) AS row_count,
      bool_or((coalesce(kept.n, 0), coalesce(kept.amount, 0), coalesce(kept.fee, 0), coalesce(kept.tax, 0))
        <> (coalesce(line.n, 0), coalesce(line.amount, 0), coalesce(line.fee, 0), coalesce(line.tax, 0))
        OR (kept.open_n, kept.open) <> (coalesce(line.open_n, 0), coalesce(line.open, 0))) AS has_parted
    FROM (SELECT each.of, line.* FROM line CROSS JOIN unnest('{kinds,days,owners,settlements}'::text[]) AS each (of)) AS line
    FULL JOIN kept USING (of, ${KEYS})
    GROUP BY of, currency
  ) AS compared
  GROUP BY currency`
