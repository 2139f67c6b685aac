import { Effect } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { beginWriting } from "../../postgres/interference.ts"
import type { Transaction } from "../../postgres/shape.ts"
import { read, write } from "../../postgres/statements.ts"

/** Rules of direction: the effect of a type and name of transaction on a balance. `views/event_direction.sql` applies them. */

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
  /** The likely direction of a kind without a rule; null where there is no suggestion. */
  readonly suggested: Direction | null
}

/** A kind of transaction that a change of the rules counts otherwise. */
export interface RuleChange extends Pick<KindRule, "account" | "eventType" | "eventName" | "currency"> {
  readonly before: { readonly direction: number | null; readonly unmappedCount: number }
  readonly after: { readonly direction: number | null; readonly unmappedCount: number }
  readonly transactionCount: number
  readonly amount: string
}

/** Names of one word that say that money of a payout came back (assumed). */
const SUGGESTIONS: Readonly<Record<string, Direction>> = {
  "PAYOUT/PAYOUT_RETURNED": 1,
  "PAYOUT/PAYOUT_REVERSED": 1,
}

type Sql = postgres.Sql | Transaction

const kindsIn = async (sql: Sql, accounts: ReadonlyArray<string>): Promise<ReadonlyArray<KindRule>> => {
  const rows = await sql<Array<Omit<KindRule, "suggested">>>`
    SELECT account, event_type AS "eventType", event_name AS "eventName", currency, rule, direction::int AS direction,
      amount_sign AS "amountSign", transaction_count::float8 AS "transactionCount", amount,
      negative_count::float8 AS "negativeCount", unmapped_count::float8 AS "unmappedCount",
      net_differs_count::float8 AS "netDiffersCount", net_difference AS "netDifference", confirmed_at AS "confirmedAt"
    FROM analytics.event_rule
    WHERE ${accounts.length} = 0 OR account = ANY (string_to_array(${accounts.join(",")}, ','))
    ORDER BY account, event_type, event_name, currency`
  return rows.map(row => ({
    ...row,
    suggested: row.direction === null ? (SUGGESTIONS[`${row.eventType}/${row.eventName}`] ?? null) : null,
  }))
}

/** Lists each kind of transaction in the data with the rule that decides it. */
export const listDirections = (
  sql: postgres.Sql,
  accounts: ReadonlyArray<string>,
): Effect.Effect<ReadonlyArray<KindRule>, WarehouseError> => read(() => kindsIn(sql, accounts))

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

const differences = (
  before: ReadonlyArray<KindRule>,
  after: ReadonlyArray<KindRule>,
): ReadonlyArray<RuleChange> =>
  before.flatMap((kind, i) => {
    const now = after[i]!
    const isSame =
      kind.direction === now.direction &&
      kind.amountSign === now.amountSign &&
      kind.unmappedCount === now.unmappedCount
    if (isSame) return []
    const { account, eventType, eventName, currency, transactionCount, amount } = kind
    const of = ({ direction, unmappedCount }: KindRule) => ({ direction, unmappedCount })
    return [
      { account, eventType, eventName, currency, transactionCount, amount, before: of(kind), after: of(now) },
    ]
  })

/** Ends the transaction of a preview. */
class Preview extends Error {
  constructor(readonly changes: ReadonlyArray<RuleChange>) {
    super("preview")
  }
}

/**
 * Changes the rules in one transaction, and answers what they count otherwise. A preview leaves them as they are. Fails
 * with `ConfigurationError` where `change` says why there is nothing to change.
 */
const changeRules = (
  sql: postgres.Sql,
  isPreview: boolean,
  change: (tx: Transaction) => Promise<string | undefined>,
): Effect.Effect<ReadonlyArray<RuleChange>, ConfigurationError | WarehouseError> =>
  Effect.flatMap(
    write(async () => {
      try {
        return await beginWriting(sql, async tx => {
          // Kinds that a load stores between the two readings would be taken for changes.
          await tx`LOCK TABLE warehouse.event_directions IN SHARE ROW EXCLUSIVE MODE`
          await tx`LOCK TABLE warehouse.transaction_kinds IN SHARE MODE`
          const before = await kindsIn(tx, [])
          const refusal = await change(tx)
          if (refusal !== undefined) return refusal
          const changes = differences(before, await kindsIn(tx, []))
          if (isPreview) throw new Preview(changes)
          return changes
        })
      } catch (error) {
        if (error instanceof Preview) return error.changes
        throw error
      }
    }),
    found => (typeof found === "string" ? new ConfigurationError({ message: found }) : Effect.succeed(found)),
  )

/** Sets a rule, which counts as confirmed. */
export const setDirection = (
  sql: postgres.Sql,
  { eventType, eventName, direction, asSent }: RuleGiven,
  { by, isPreview }: RuleOptions,
): Effect.Effect<ReadonlyArray<RuleChange>, ConfigurationError | WarehouseError> =>
  changeRules(sql, isPreview, async tx => {
    await tx`
      INSERT INTO warehouse.event_directions AS rule (event_type, event_name, direction, amount_sign, confirmed_at, confirmed_by)
      VALUES (${eventType}, ${eventName}, ${direction}, ${asSent ? "as_sent" : "absolute"}, now(), ${by})
      ON CONFLICT (event_type, event_name) DO UPDATE
      SET direction = excluded.direction, amount_sign = excluded.amount_sign,
        confirmed_at = excluded.confirmed_at, confirmed_by = excluded.confirmed_by`
    return undefined
  })

/**
 * Confirms rules: what they say is then no longer assumed, and a confirmed `*` rule takes the names of its type that no
 * word holds back. A type and name without a rule of their own get one with the direction that they have now.
 */
export const confirmDirections = (
  sql: postgres.Sql,
  { eventType, eventName }: RulesNamed,
  { by, isPreview }: RuleOptions,
): Effect.Effect<ReadonlyArray<RuleChange>, ConfigurationError | WarehouseError> =>
  changeRules(sql, isPreview, async tx => {
    const confirmed = await tx`
      UPDATE warehouse.event_directions SET confirmed_at = now(), confirmed_by = ${by}
      WHERE confirmed_at IS NULL
        AND (${eventType ?? null}::text IS NULL OR event_type = ${eventType ?? null})
        AND (${eventName ?? null}::text IS NULL OR event_name = ${eventName ?? null})`
    if (confirmed.count > 0 || eventType === undefined) return undefined
    const [stored] = await tx`
      SELECT FROM warehouse.event_directions
      WHERE event_type = ${eventType} AND (${eventName ?? null}::text IS NULL OR event_name = ${eventName ?? null})`
    if (stored !== undefined) return undefined
    if (eventName === undefined)
      return `No rule is for type ${eventType}: set one with \`paycombat-sync directions set ${eventType} '*' DIRECTION\`.`
    const made = await tx`
      INSERT INTO warehouse.event_directions (event_type, event_name, direction, confirmed_at, confirmed_by)
      SELECT event_type, event_name, direction, now(), ${by} FROM analytics.event_direction
      WHERE event_type = ${eventType} AND event_name = ${eventName} AND direction IS NOT NULL AND NOT is_negative`
    return made.count > 0
      ? undefined
      : `No rule answers for ${eventType} ${eventName}: set one with \`paycombat-sync directions set ${eventType} ${eventName} DIRECTION\`.`
  })
