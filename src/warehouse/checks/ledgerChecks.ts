import { Effect } from "effect"
import type postgres from "postgres"
import type { WarehouseError } from "../../core/errors.ts"
import { arrayLiteral } from "../../postgres/bulk.ts"
import { beginWriting } from "../../postgres/interference.ts"
import { query, write } from "../../postgres/statements.ts"
import { marksOf, removeMarks } from "../ledger/marks.ts"
import { FEES, NET_AMOUNT, PAYOUTS, RESERVE, SETTLEMENTS, TOTALS } from "./moneyEquations.ts"
import { WALLET_BALANCE, WALLET_DELTA } from "./walletEquations.ts"

/**
 * Equations over independent data, which hold only if the assumptions hold that figures rest on. They are computed after a
 * run that changed something and stored in `sync.ledger_checks`; `analytics.ledger_check` shows them.
 */

/** Transactions up to which `totals` is computed each time. With more of them, once a day is enough: it reads all rows. */
const ROWS_EACH_TIME = 250_000

interface Equation {
  readonly check: string
  /** Streams that must have been read to their end. `sync.mark_changes_of` marks changes of their tables: see a migration. */
  readonly needs: ReadonlyArray<string>
  readonly body: string
  readonly parameters: (times: Times) => ReadonlyArray<string | null>
}

/** Streams of an account that were read to their end, and times of these runs as Postgres prints them. */
interface Times {
  readonly read: ReadonlyArray<string>
  /** Streams that are not available to the account's token, with the reason. */
  readonly unavailable: ReadonlyMap<string, string>
  /** Start of the latest complete run of transactions: later ones may be missing. */
  readonly knownTo: string | null
  /** End of the first complete run of transactions or of wallets, whichever was later. */
  readonly firstAt: string | null
}

const equation = (
  check: string,
  needs: ReadonlyArray<string>,
  body: string,
  parameters: Equation["parameters"] = () => [],
): Equation => ({ check, needs, body, parameters })

const TOTALS_CHECK = "totals"

export const EQUATIONS: ReadonlyArray<Equation> = [
  equation("wallet_balance", ["wallets", "transactions"], WALLET_BALANCE, ({ knownTo }) => [knownTo]),
  equation("wallet_delta", ["wallets", "transactions"], WALLET_DELTA, ({ knownTo, firstAt }) => [
    knownTo,
    firstAt,
  ]),
  equation("net_amount", ["transactions"], NET_AMOUNT),
  equation("reserve", ["wallets", "transactions"], RESERVE, ({ knownTo }) => [knownTo]),
  equation("payouts", ["payouts", "transactions"], PAYOUTS, ({ knownTo }) => [knownTo]),
  equation("settlements", ["transactions"], SETTLEMENTS),
  equation("fees", ["transactions"], FEES),
  equation(TOTALS_CHECK, [], TOTALS),
]

/** Equations whose data this version does not read, with the reason. */
const WITHOUT_DATA: ReadonlyArray<readonly [check: string, reason: string]> = [
  ["merchant_balance", "The merchant's balances are not read yet, so that there is nothing to compare with."],
  ["payins", "Payins are not read yet, so that there is nothing to compare with."],
]

const COLUMNS =
  "account, check_name, currency, left_amount, right_amount, difference, row_count, differs_count, state, explanation, is_waiting, checked_at"

const stored = (check: string, body: string) => `
  INSERT INTO sync.ledger_checks (${COLUMNS})
  SELECT $1, '${check}', currency, left_amount, right_amount, difference, row_count, differs_count,
    CASE WHEN differs_count > 0 THEN 'differs' WHEN open_count > 0 THEN 'not_comparable' ELSE 'ok' END,
    CASE WHEN differs_count > 0 THEN differs_text WHEN open_count > 0 THEN open_text END,
    differs_count = 0 AND open_count > 0 AND is_waiting, now()
  FROM (${body}) AS compared`

/** Stores that there is nothing to compare, in each currency of the account. */
const unread = (
  check: string,
  reason: string,
  isWaiting: boolean,
): readonly [statement: string, parameters: ReadonlyArray<string | boolean>] => [
  `INSERT INTO sync.ledger_checks (${COLUMNS})
   SELECT $1, '${check}', currency, NULL, NULL, NULL, 0, 0, 'not_comparable', $2, $3, now() FROM (
     SELECT currency FROM warehouse.transaction_kinds WHERE account = $1 AND transaction_count > 0
     UNION SELECT currency FROM warehouse.wallet_accounts WHERE account = $1 AND removed_at IS NULL
     UNION SELECT currency FROM warehouse.payouts WHERE account = $1
   ) AS known`,
  [reason, isWaiting],
]

const COMPLETE =
  "status IN ('complete', 'complete_with_rejects') AND mode IN ('full', 'incremental', 'lookup')"

const timesOf = async (tx: postgres.ISql, account: string): Promise<Times> => {
  const [found] = await tx.unsafe<
    Array<{ read: string | null; known_to: string | null; first_at: string | null }>
  >(
    `SELECT string_agg(DISTINCT stream, ',') AS read,
       max(began_at) FILTER (WHERE stream = 'transactions') AS known_to,
       greatest(min(finished_at) FILTER (WHERE stream = 'transactions'), min(finished_at) FILTER (WHERE stream = 'wallets')) AS first_at
     FROM (
       SELECT stream, status, mode, finished_at,
         CASE WHEN pass_id IS NULL THEN started_at ELSE min(started_at) OVER (PARTITION BY stream, pass_id) END AS began_at
       FROM sync.stream_runs WHERE account = $1 AND stream = ANY ($2::text[])
     ) AS run WHERE ${COMPLETE}`,
    [account, arrayLiteral([...new Set(EQUATIONS.flatMap(({ needs }) => needs))])],
  )
  const unavailable = await tx.unsafe<Array<{ stream: string; reason: string }>>(
    "SELECT stream, reason FROM sync.unavailable WHERE account = $1",
    [account],
  )
  return {
    read: found?.read?.split(",") ?? [],
    unavailable: new Map(unavailable.map(({ stream, reason }) => [stream, reason])),
    knownTo: found?.known_to ?? null,
    firstAt: found?.first_at ?? null,
  }
}

/** True if the check is due: the stored one is a day old or differs, or the account has few transactions. */
const isDue = async (tx: postgres.ISql, { check }: Equation, account: string): Promise<boolean> => {
  if (check !== TOTALS_CHECK) return true
  const [found] = await tx.unsafe<Array<{ due: boolean }>>(
    `SELECT (SELECT coalesce(sum(transaction_count), 0) FROM warehouse.transaction_kinds WHERE account = $1) <= $2
       OR NOT EXISTS (SELECT FROM sync.ledger_checks WHERE account = $1 AND check_name = $3
         AND state <> 'differs' AND checked_at > now() - interval '1 day') AS due`,
    [account, ROWS_EACH_TIME, TOTALS_CHECK],
  )
  return found?.due === true
}

const computeIn = async (tx: postgres.TransactionSql, account: string): Promise<void> => {
  // Two computations of one account run one after the other.
  await tx.unsafe("SELECT pg_advisory_xact_lock(hashtextextended('ledger_checks ' || $1, 0))", [account])
  const marks = await marksOf(tx, account)
  const times = await timesOf(tx, account)
  const replace = async (
    check: string,
    statement: string,
    parameters: ReadonlyArray<string | boolean | null>,
  ) => {
    await tx.unsafe("DELETE FROM sync.ledger_checks WHERE account = $1 AND check_name = $2", [account, check])
    await tx.unsafe(statement, [account, ...parameters])
  }
  for (const each of EQUATIONS) {
    if (!(await isDue(tx, each, account))) continue
    const away = each.needs.find(stream => times.unavailable.has(stream))
    const lacking = each.needs.filter(stream => !times.read.includes(stream))
    if (away !== undefined) {
      const reason = `${away} is not available to this token: ${times.unavailable.get(away)}.`
      await replace(each.check, ...unread(each.check, reason, false))
    } else if (lacking.length === 0)
      await replace(each.check, stored(each.check, each.body), each.parameters(times))
    else {
      const reason = `Not read to its end yet: ${lacking.join(", ")}. Run \`paycombat-sync sync\`.`
      await replace(each.check, ...unread(each.check, reason, true))
    }
  }
  for (const [check, reason] of WITHOUT_DATA) await replace(check, ...unread(check, reason, false))
  await removeMarks(tx, account, marks)
}

/** Computes all equations of an account, and stores the results with the time: one transaction. */
const computeChecks = (sql: postgres.Sql, account: string): Effect.Effect<void, WarehouseError> =>
  write(() => beginWriting(sql, tx => computeIn(tx, account)))

/**
 * Computes the equations of the accounts that have changed since theirs were computed; without `accounts`, of all such. A call
 * after each kind of work that changes rows or rules keeps results and figures together. A call that fails or never comes
 * leaves the marks: the results say that they are older, and the next call mends it.
 */
export const computeDueChecks = (
  sql: postgres.Sql,
  accounts?: ReadonlyArray<string>,
): Effect.Effect<void, WarehouseError> =>
  Effect.flatMap(
    query(
      () => sql<Array<{ account: string }>>`
        SELECT DISTINCT account FROM sync.figure_changes
        WHERE ${accounts === undefined} OR account = ANY (${arrayLiteral(accounts ?? [])}::text[]) ORDER BY 1`,
    ),
    due => Effect.forEach(due, ({ account }) => computeChecks(sql, account), { discard: true }),
  )

const logged = Effect.catchAll(({ message }: WarehouseError) =>
  Effect.logWarning(`ledger_check was not computed, and is older than the figures: ${message}`),
)

/** As `computeDueChecks`, after work that is done: a failure is logged, and changes nothing about the work. */
export const checkAfterWork = (sql: postgres.Sql, accounts?: ReadonlyArray<string>): Effect.Effect<void> =>
  logged(computeDueChecks(sql, accounts))

/** The same after a run, which may also have read what an equation waits for. */
export const checkAfterRun = (sql: postgres.Sql, account: string): Effect.Effect<void> =>
  query(
    () => sql<Array<{ yes: boolean }>>`
      SELECT EXISTS (SELECT FROM sync.ledger_checks WHERE account = ${account} AND is_waiting)
        OR EXISTS (SELECT FROM sync.figure_changes WHERE account = ${account}) AS yes`,
  ).pipe(
    Effect.flatMap(([due]) => (due?.yes === true ? computeChecks(sql, account) : Effect.void)),
    logged,
  )
