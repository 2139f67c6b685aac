import { isJsonObject, type Json, type JsonObject } from "../core/json.ts"
import type { Money } from "../core/stream.ts"
import type { StoredDirection } from "../warehouse/read/checkup.ts"
import { type Decimal, decimal, isEqual, minus, negated, plus, signOf } from "./decimal.ts"
import { isShowable } from "./drift.ts"

/** Examines how sign, fees and net amount relate in records (?). Holds counts and codes, no amount. */

/** Most event types that are described, the most frequent first; the others are counted. */
const TYPES_SHOWN_MAX = 20
const NAMES_SHOWN_MAX = 8
const NOT_SHOWN = "(not shown)"

export interface Event {
  readonly type: string
  readonly name: string | null
  /** True where the amount was sent with a minus. */
  readonly isNegative: boolean
}

/** Number of records in which a rule holds, of those in which it can be tested. */
export interface Holds {
  readonly holds: number
  readonly of: number
}

export interface EventMoney {
  readonly eventType: string
  readonly eventNames: ReadonlyArray<string>
  /** Number of names that are not shown: too many, or not like a code. */
  readonly furtherNames: number
  readonly records: number
  readonly amounts: { readonly negative: number; readonly zero: number; readonly positive: number }
  /** The rule that explains most net amounts with a fee in the amount's currency; null if none does. */
  readonly net: Holds & { readonly formula: string | null }
  /** Compared records with a fee. The others show nothing about the effect of a fee. */
  readonly withFees: number
  /** The effects of the amounts on a balance; empty if one could not be looked up. */
  readonly directions: ReadonlyArray<-1 | 0 | 1>
  /** True if one of the directions rests on a rule that no person has confirmed. */
  readonly isAssumed: boolean
  /** Records without a direction, which settlements and balances leave out; null where one could not be looked up. */
  readonly unmapped: number | null
}

export interface MoneyReport {
  readonly records: number
  /** Test of the rule that the fee with its tax is the sum of both. */
  readonly feeSum: Holds & { readonly formula: string }
  readonly negativeFees: number
  /** Fees in another currency than the amount, and those of them whose net amount equals the amount. */
  readonly foreignFees: Holds
  readonly events: ReadonlyArray<EventMoney>
  readonly furtherTypes: number
}

/** Rule for an event; undefined where no stored transaction is of its kind. */
export type DirectionOf = (event: Event) => StoredDirection | undefined

const textIn = (record: JsonObject, field: string): string | null => {
  const value = record[field]
  return typeof value === "string" ? value : null
}

const amountIn = (record: JsonObject, field: string): Decimal | undefined => {
  const value = record[field]
  if (value === undefined || value === null || typeof value === "boolean" || isJsonObject(value))
    return undefined
  return Array.isArray(value) ? undefined : decimal(String(value))
}

const eventOf = (record: JsonObject, money: Money): Event | undefined => {
  const type = textIn(record, money.eventType)
  const amount = amountIn(record, money.amount)
  const isNegative = amount !== undefined && signOf(amount) < 0
  return type === null ? undefined : { type, name: textIn(record, money.eventName), isNegative }
}

/** The different events of records, to look up their effect on a balance. */
export const eventsIn = (records: ReadonlyArray<Json>, money: Money): ReadonlyArray<Event> => {
  const events = records.filter(isJsonObject).flatMap(record => eventOf(record, money) ?? [])
  return [...new Map(events.map(event => [JSON.stringify(event), event])).values()]
}

interface Movement {
  readonly event: Event
  readonly amount: Decimal
  readonly net: Decimal | undefined
  readonly feeWithoutTax: Decimal | undefined
  readonly tax: Decimal | undefined
  readonly feeIncludingTax: Decimal | undefined
  /** The fee as the views take it, from the fields that are present. */
  readonly fee: Decimal | undefined
  readonly isForeignFee: boolean
}

const movementOf = (record: JsonObject, money: Money): Movement | undefined => {
  const event = eventOf(record, money)
  const amount = amountIn(record, money.amount)
  if (event === undefined || amount === undefined) return undefined
  const feeWithoutTax = amountIn(record, money.feesWithoutTax)
  const tax = amountIn(record, money.taxOnFees)
  const feeIncludingTax = amountIn(record, money.feesIncludingTax)
  const difference = (one?: Decimal, other?: Decimal) =>
    one === undefined || other === undefined ? undefined : minus(one, other)
  const ownFee = feeWithoutTax ?? difference(feeIncludingTax, tax) ?? feeIncludingTax
  const ownTax = tax ?? difference(feeIncludingTax, feeWithoutTax)
  const feeCurrency = textIn(record, money.feesCurrency)
  return {
    event,
    amount,
    net: amountIn(record, money.netAmount),
    feeWithoutTax,
    tax,
    feeIncludingTax,
    fee: ownFee === undefined ? ownTax : ownTax === undefined ? ownFee : plus(ownFee, ownTax),
    isForeignFee:
      feeCurrency !== null && feeCurrency !== "" && feeCurrency !== textIn(record, money.currency),
  }
}

/** Rules for a net amount. If several hold in the same number of records, the first is reported. */
const formulasOf = ({ netAmount, amount, feesIncludingTax, feesWithoutTax }: Money) =>
  [
    [`${netAmount} = ${amount} − ${feesIncludingTax}`, (a: Decimal, fee: Decimal) => minus(a, fee)],
    [`${netAmount} = ${amount} + ${feesIncludingTax}`, (a: Decimal, fee: Decimal) => plus(a, fee)],
    [`${netAmount} = ${amount}`, (a: Decimal) => a],
    [
      `${netAmount} = ${amount} − ${feesWithoutTax}`,
      (a: Decimal, _: Decimal, bare: Decimal) => minus(a, bare),
    ],
    [`${netAmount} = −${amount} − ${feesIncludingTax}`, (a: Decimal, fee: Decimal) => minus(negated(a), fee)],
    [`${netAmount} = ${feesIncludingTax} − ${amount}`, (a: Decimal, fee: Decimal) => minus(fee, a)],
    [`${netAmount} = −${amount}`, (a: Decimal) => negated(a)],
  ] as const satisfies ReadonlyArray<
    readonly [formula: string, netOf: (amount: Decimal, fee: Decimal, bare: Decimal) => Decimal]
  >

const ZERO: Decimal = { units: 0n, scale: 0 }

const hasFee = ({ fee }: Movement): boolean => fee !== undefined && signOf(fee) !== 0

const netOf = (movements: ReadonlyArray<Movement>, money: Money): Pick<EventMoney, "net" | "withFees"> => {
  const asked = movements.filter(({ net, isForeignFee }) => net !== undefined && !isForeignFee)
  const withFees = asked.filter(hasFee).length
  const without = [`${money.netAmount} = ${money.amount}`, `${money.netAmount} = −${money.amount}`]
  const best = formulasOf(money)
    // Without any fee, the effect of a fee cannot be seen.
    .filter(([formula]) => withFees > 0 || without.includes(formula))
    .map(([formula, of]) => ({
      formula,
      holds: asked.filter(({ net, amount, fee = ZERO, feeWithoutTax = ZERO }) =>
        isEqual(net!, of(amount, fee, feeWithoutTax)),
      ).length,
    }))
    .reduce((one, other) => (other.holds > one.holds ? other : one))
  return {
    net: { formula: best.holds === 0 ? null : best.formula, holds: best.holds, of: asked.length },
    withFees,
  }
}

const eventMoney = (
  eventType: string,
  movements: ReadonlyArray<Movement>,
  money: Money,
  directionOf: DirectionOf | undefined,
): EventMoney => {
  const bySign = (sign: number) => movements.filter(({ amount }) => signOf(amount) === sign).length
  const names = new Map<string, number>()
  for (const { event } of movements)
    if (event.name !== null) names.set(event.name, (names.get(event.name) ?? 0) + 1)
  const eventNames = [...names]
    .filter(([name, count]) => isShowable(name, count))
    .map(([name]) => name)
    .slice(0, NAMES_SHOWN_MAX)
  const rules = directionOf === undefined ? [] : movements.map(({ event }) => directionOf(event))
  return {
    eventType: isShowable(eventType, movements.length) ? eventType : NOT_SHOWN,
    eventNames,
    furtherNames: names.size - eventNames.length,
    records: movements.length,
    amounts: { negative: bySign(-1), zero: bySign(0), positive: bySign(1) },
    ...netOf(movements, money),
    directions: [...new Set(rules.flatMap(rule => rule?.direction ?? []))].sort((a, b) => a - b),
    isAssumed: rules.some(rule => rule?.isAssumed),
    unmapped:
      directionOf === undefined || rules.includes(undefined)
        ? null
        : rules.filter(rule => rule?.direction === null).length,
  }
}

/** Describes the money in these records, exact to the last digit; undefined if there is none. */
export const moneyIn = (
  records: ReadonlyArray<Json>,
  money: Money,
  directionOf?: DirectionOf,
): MoneyReport | undefined => {
  const movements = records.filter(isJsonObject).flatMap(record => movementOf(record, money) ?? [])
  if (movements.length === 0) return undefined
  const byType = new Map<string, Array<Movement>>()
  for (const movement of movements)
    byType.set(movement.event.type, [...(byType.get(movement.event.type) ?? []), movement])
  const types = [...byType].sort(([, a], [, b]) => b.length - a.length)
  const summed = movements.filter(
    ({ feeIncludingTax, feeWithoutTax, tax }) =>
      feeIncludingTax !== undefined && feeWithoutTax !== undefined && tax !== undefined,
  )
  const foreign = movements.filter(({ isForeignFee, net }) => isForeignFee && net !== undefined)
  return {
    records: movements.length,
    feeSum: {
      formula: `${money.feesIncludingTax} = ${money.feesWithoutTax} + ${money.taxOnFees}`,
      holds: summed.filter(({ feeIncludingTax, feeWithoutTax, tax }) =>
        isEqual(feeIncludingTax!, plus(feeWithoutTax!, tax!)),
      ).length,
      of: summed.length,
    },
    negativeFees: movements.filter(({ fee }) => fee !== undefined && signOf(fee) < 0).length,
    foreignFees: {
      holds: foreign.filter(({ net, amount }) => isEqual(net!, amount)).length,
      of: foreign.length,
    },
    events: types
      .slice(0, TYPES_SHOWN_MAX)
      .map(([type, typed]) => eventMoney(type, typed, money, directionOf)),
    furtherTypes: Math.max(0, types.length - TYPES_SHOWN_MAX),
  }
}
