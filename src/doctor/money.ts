import type { Money } from "../core/documented.ts"
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts"
import { type Decimal, decimal, isEqual, minus, negated, plus, signOf } from "./decimal.ts"
import { isShowable } from "./drift.ts"

/**
 * How sign, fees and net amount relate in real records. Settlements and balances rest on it, and none of it is
 * documented (?). Holds counts and codes, no amount.
 */

/** Event types that are told, the most frequent first; the rest is counted. */
const TYPES_TOLD_MAX = 20
/** Names of one event type that are told. */
const NAMES_TOLD_MAX = 8
const NOT_SHOWN = "(not shown)"

export interface Event {
  readonly type: string
  readonly name: string | null
}

/** In how many of the records that can be asked something holds. */
export interface Holds {
  readonly holds: number
  readonly of: number
}

export interface EventMoney {
  readonly eventType: string
  readonly eventNames: ReadonlyArray<string>
  /** Further names that are not told: too many, or not like a code. */
  readonly furtherNames: number
  readonly records: number
  readonly amounts: { readonly negative: number; readonly zero: number; readonly positive: number }
  /** What explains most net amounts, where the fee is in the amount's currency; null where none is explained. */
  readonly net: Holds & { readonly formula: string | null }
  /** Of the records that were compared, those with a fee: others tell nothing about what a fee does. */
  readonly withFees: number
  /** What their amounts do to a balance; empty where the table of directions was not asked. */
  readonly directions: ReadonlyArray<-1 | 0 | 1>
  /** Records without a direction, which settlements and balances leave out; null where the table was not asked. */
  readonly unmapped: number | null
}

export interface MoneyReport {
  readonly records: number
  /** The fee with its tax is the sum of both. */
  readonly feeSum: Holds & { readonly formula: string }
  /** Fees below zero. */
  readonly negativeFees: number
  /** Fees in another currency than the amount, and those of them whose net amount is the amount. */
  readonly foreignFees: Holds
  readonly events: ReadonlyArray<EventMoney>
  readonly furtherTypes: number
}

export type DirectionOf = (event: Event) => -1 | 0 | 1 | null

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
  return type === null ? undefined : { type, name: textIn(record, money.eventName) }
}

/** The different events of records, to look up what each does to a balance. */
export const eventsIn = (records: ReadonlyArray<Json>, money: Money): ReadonlyArray<Event> => {
  const events = records.filter(isJsonObject).flatMap(record => eventOf(record, money) ?? [])
  return [...new Map(events.map(event => [JSON.stringify([event.type, event.name]), event])).values()]
}

/** A record, as far as its money can be read. */
interface Movement {
  readonly event: Event
  readonly amount: Decimal
  readonly net: Decimal | undefined
  readonly feeWithoutTax: Decimal | undefined
  readonly tax: Decimal | undefined
  readonly feeIncludingTax: Decimal | undefined
  /** The fee as the views take it, of whichever fields there are. */
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
  const sum = feeWithoutTax === undefined ? tax : tax === undefined ? feeWithoutTax : plus(feeWithoutTax, tax)
  const feeCurrency = textIn(record, money.feesCurrency)
  return {
    event,
    amount,
    net: amountIn(record, money.netAmount),
    feeWithoutTax,
    tax,
    feeIncludingTax,
    fee: feeIncludingTax ?? sum,
    isForeignFee:
      feeCurrency !== null && feeCurrency !== "" && feeCurrency !== textIn(record, money.currency),
  }
}

/** What a net amount may be; where several hold alike, the first is told. */
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
    // Without any fee, what would be done with one cannot be told.
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
    .slice(0, NAMES_TOLD_MAX)
  const directions = directionOf === undefined ? [] : movements.map(({ event }) => directionOf(event))
  return {
    eventType: isShowable(eventType, movements.length) ? eventType : NOT_SHOWN,
    eventNames,
    furtherNames: names.size - eventNames.length,
    records: movements.length,
    amounts: { negative: bySign(-1), zero: bySign(0), positive: bySign(1) },
    ...netOf(movements, money),
    directions: [...new Set(directions.filter(direction => direction !== null))].sort((a, b) => a - b),
    unmapped: directionOf === undefined ? null : directions.filter(direction => direction === null).length,
  }
}

/** What the money in these records has in common, exact to the last digit; undefined where there is none. */
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
      .slice(0, TYPES_TOLD_MAX)
      .map(([type, typed]) => eventMoney(type, typed, money, directionOf)),
    furtherTypes: Math.max(0, types.length - TYPES_TOLD_MAX),
  }
}
