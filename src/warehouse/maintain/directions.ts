import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { beginWriting } from "../../postgres/interference.ts"
import type { Transaction } from "../../postgres/shape.ts"
import { read, write } from "../../postgres/statements.ts"
import { computeDueChecks } from "../checks/ledgerChecks.ts"

/** Rules of direction: the effect of a type and name of transaction on a balance. `views/trust/event_direction.sql` applies them. */

export type Direction = -1 | 0 | 1

/** A kind of transaction in the data, the rule that decides it, and the money that hangs on it. Amounts as text. */
export interface KindRule {
  readonly account: string
  readonly eventType: string
  /** Empty where none is sent. */
  readonly eventName: string
  readonly currency: string
  readonly rule: string
  readonly direction: number | null
  readonly amountSign: string
  readonly transactionCount: number
  readonly amount: string
  readonly negativeCount: number
  readonly unmappedCount: number
  readonly netDiffersCount: number
  readonly netDifference: string
  readonly confirmedAt: string | null
  /** Login at the operating system of the person who confirmed it. */
  readonly confirmedBy: string | null
  /** The likely direction of a kind without a rule; null where there is no suggestion. */
  readonly suggested: Direction | null
}

/** Transactions of one kind and sign of the amount that a change of the rules counts otherwise. */
export interface RuleChange extends Pick<KindRule, "account" | "eventType" | "eventName" | "currency"> {
  readonly isNegative: boolean
  readonly transactionCount: number
  /** Sum of the amounts without their sign, as text. */
  readonly amount: string
  /** Directions; null for transactions that are not counted. */
  readonly before: Direction | null
  readonly after: Direction | null
}

/** A rule that a person set or confirmed. */
export interface ChangedRule {
  readonly eventType: string
  readonly eventName: string
  readonly direction: Direction
  readonly amountSign: string
}

/** A change of the rules: empty lists where there is nothing to change. */
export interface RulesChanged {
  readonly rules: ReadonlyArray<ChangedRule>
  readonly changes: ReadonlyArray<RuleChange>
}

/** Names of one word that say that money of a payout came back (assumed). */
const SUGGESTIONS: Readonly<Record<string, Direction>> = {
  "PAYOUT/PAYOUT_RETURNED": 1,
  "PAYOUT/PAYOUT_REVERSED": 1,
}

/** Lists each kind of transaction in the data with the rule that decides it. */
export const listDirections = (
  sql: postgres.Sql,
  accounts: ReadonlyArray<string>,
): Effect.Effect<ReadonlyArray<KindRule>, WarehouseError> =>
  read(async () => {
    const rows = await sql<Array<Omit<KindRule, "suggested">>>`
      SELECT kind.account, kind.event_type AS "eventType", kind.event_name AS "eventName", kind.currency, kind.rule,
        kind.direction::int AS direction, kind.amount_sign AS "amountSign", kind.transaction_count::float8 AS "transactionCount",
        kind.amount, kind.negative_count::float8 AS "negativeCount", kind.unmapped_count::float8 AS "unmappedCount",
        kind.net_differs_count::float8 AS "netDiffersCount", kind.net_difference AS "netDifference",
        kind.confirmed_at AS "confirmedAt", rule.confirmed_by AS "confirmedBy"
      FROM analytics.event_rule AS kind
      LEFT JOIN warehouse.event_directions AS rule
        ON rule.event_type = kind.event_type AND rule.event_name = CASE kind.rule WHEN 'exact' THEN kind.event_name ELSE '*' END
      WHERE ${accounts.length} = 0 OR kind.account = ANY (string_to_array(${accounts.join(",")}, ','))
      ORDER BY kind.account, kind.event_type, kind.event_name, kind.currency`
    return rows.map(row => ({
      ...row,
      suggested: row.direction === null ? (SUGGESTIONS[`${row.eventType}/${row.eventName}`] ?? null) : null,
    }))
  })

/** The person who changes rules, and whether the change is only previewed. */
export interface RuleOptions {
  readonly by: string
  readonly isPreview: boolean
}

/** A rule as a person sets it; the name `*` stands for any. */
export interface RuleGiven {
  readonly eventType: string
  readonly eventName: string
  readonly direction: Direction
  /** Amounts count with the sign that they were sent with. */
  readonly asSent: boolean
}

/** The rules to confirm: all, those of a type, or the one of a type and name. */
export interface RulesNamed {
  readonly eventType?: string | undefined
  readonly eventName?: string | undefined
}

type Part = Omit<RuleChange, "before" | "after"> & { readonly direction: Direction | null }

const partsIn = (tx: Transaction) =>
  tx<Array<Part>>`
    SELECT total.account, total.event_type AS "eventType", total.event_name AS "eventName", total.currency,
      total.is_negative AS "isNegative", sum(total.transaction_count)::float8 AS "transactionCount", sum(total.amount) AS amount,
      rule.direction::int AS direction
    FROM warehouse.transaction_kinds AS total
    LEFT JOIN analytics.event_direction AS rule
      ON rule.event_type = total.event_type AND rule.event_name = total.event_name AND rule.is_negative = total.is_negative
    WHERE total.transaction_count > 0
    GROUP BY 1, 2, 3, 4, 5, 8 ORDER BY 1, 2, 3, 4, 5`

const differences = (before: ReadonlyArray<Part>, after: ReadonlyArray<Part>): ReadonlyArray<RuleChange> =>
  before.flatMap(({ direction, ...part }, i) => {
    const now = after[i]!.direction
    return direction === now ? [] : [{ ...part, before: direction, after: now }]
  })

/** Ends the transaction of a preview. */
class Preview extends Error {
  constructor(readonly changed: RulesChanged) {
    super("preview")
  }
}

/**
 * Changes the rules in one transaction, answers what they count otherwise, and computes `ledger_check` by them. A preview
 * leaves them as they are. Fails with `ConfigurationError` where `change` says why there is nothing to change.
 */
const changeRules = (
  sql: postgres.Sql,
  isPreview: boolean,
  change: (tx: Transaction) => Promise<string | ReadonlyArray<ChangedRule>>,
): Effect.Effect<RulesChanged, ConfigurationError | WarehouseError> =>
  Effect.flatMap(
    write(async () => {
      try {
        return await beginWriting(sql, async tx => {
          // Kinds that a load stores between the two readings would be taken for changes.
          await tx`LOCK TABLE warehouse.event_directions IN SHARE ROW EXCLUSIVE MODE`
          await tx`LOCK TABLE warehouse.transaction_kinds IN SHARE MODE`
          const before = await partsIn(tx)
          const rules = await change(tx)
          if (typeof rules === "string") return rules
          const changed = { rules: [...rules], changes: differences(before, await partsIn(tx)) }
          if (isPreview) throw new Preview(changed)
          return changed
        })
      } catch (error) {
        if (error instanceof Preview) return error.changed
        throw error
      }
    }),
    (found): Effect.Effect<RulesChanged, ConfigurationError | WarehouseError> =>
      typeof found === "string"
        ? new ConfigurationError({ message: found })
        : Effect.as(isPreview ? Effect.void : computeDueChecks(sql), found),
  )

const RETURNED = `event_type AS "eventType", event_name AS "eventName", direction::int AS direction, amount_sign AS "amountSign"`

/** Sets a rule, which counts as confirmed. A note of an assumption goes with the rule that it was about. */
export const setDirection = (
  sql: postgres.Sql,
  { eventType, eventName, direction, asSent }: RuleGiven,
  { by, isPreview }: RuleOptions,
): Effect.Effect<RulesChanged, ConfigurationError | WarehouseError> =>
  changeRules(
    sql,
    isPreview,
    tx => tx<Array<ChangedRule>>`
      INSERT INTO warehouse.event_directions AS rule (event_type, event_name, direction, amount_sign, confirmed_at, confirmed_by)
      VALUES (${eventType}, ${eventName}, ${direction}, ${asSent ? "as_sent" : "absolute"}, now(), ${by})
      ON CONFLICT (event_type, event_name) DO UPDATE
      SET direction = excluded.direction, amount_sign = excluded.amount_sign, note = NULL,
        confirmed_at = excluded.confirmed_at, confirmed_by = excluded.confirmed_by
      RETURNING ${tx.unsafe(RETURNED)}`,
  )

/**
 * Confirms rules: what they say is then no longer assumed, and a confirmed `*` rule takes the names of its type that no
 * word holds back. A type and name without a rule of their own get one with the direction that they have now. Rules that
 * are confirmed already stay as they are.
 */
export const confirmDirections = (
  sql: postgres.Sql,
  { eventType, eventName }: RulesNamed,
  { by, isPreview }: RuleOptions,
): Effect.Effect<RulesChanged, ConfigurationError | WarehouseError> =>
  changeRules(sql, isPreview, async tx => {
    const isNamed = tx`(${eventType ?? null}::text IS NULL OR event_type = ${eventType ?? null})
      AND (${eventName ?? null}::text IS NULL OR event_name = ${eventName ?? null})`
    const confirmed = await tx<Array<ChangedRule>>`
      UPDATE warehouse.event_directions SET confirmed_at = now(), confirmed_by = ${by}
      WHERE confirmed_at IS NULL AND ${isNamed} RETURNING ${tx.unsafe(RETURNED)}`
    const [stored] = await tx`SELECT FROM warehouse.event_directions WHERE ${isNamed} LIMIT 1`
    if (stored !== undefined || eventType === undefined) return confirmed
    if (eventName === undefined)
      return `No rule is for type ${eventType}: set one with \`paycombat-sync directions set ${eventType} '*' in|out|none\`.`
    // The amounts of a kind may all carry a minus. Those that the rule holds back say nothing.
    const made = await tx<Array<ChangedRule>>`
      INSERT INTO warehouse.event_directions (event_type, event_name, direction, amount_sign, confirmed_at, confirmed_by)
      SELECT event_type, event_name, CASE amount_sign WHEN 'as_sent' THEN 1 ELSE direction END, amount_sign, now(), ${by}
      FROM analytics.event_direction
      WHERE event_type = ${eventType} AND event_name = ${eventName} AND direction IS NOT NULL
      ORDER BY is_negative LIMIT 1
      RETURNING ${tx.unsafe(RETURNED)}`
    return made.length > 0
      ? made
      : `No rule decides ${eventType} ${eventName}: set one with \`paycombat-sync directions set ${eventType} ${eventName} in|out|none\`.`
  })
