import type { StreamDocs } from "../core/stream.ts"
import { counted } from "../core/words.ts"
import type { Drift, FieldSeen } from "./drift.ts"
import { checkOf, type Finding, finding } from "./finding.ts"
import type { EventMoney, Holds, MoneyReport } from "./money.ts"

/** Describes real records in words: how they differ from their documentation, and how their money adds up. */

type About = { readonly account: string; readonly stream: string }

/** Most fields that one line names. The JSON has all of them. */
const NAMED_MAX = 12

const listed = (parts: ReadonlyArray<string>): string =>
  parts.length <= NAMED_MAX
    ? parts.join(", ")
    : `${parts.slice(0, NAMED_MAX).join(", ")} and ${parts.length - NAMED_MAX} more`

const withTypes = ({ field, types }: FieldSeen) => `${field} (${types.join(" or ")})`

const valueFindings = (drift: Drift, about: About): ReadonlyArray<Finding> =>
  drift.values.flatMap(({ field, documented, unknown, further }) => {
    if (unknown.length + further === 0) return []
    const shown = unknown.map(({ value, count }) => `${value} (${count})`)
    if (further > 0) shown.push(`${further} more that are not shown`)
    return documented.length === 0
      ? [checkOf("values", about).pass(`${field} holds ${shown.join(", ")}; its values are not documented.`)]
      : [
          checkOf("values", about).warn(
            `${field} holds ${shown.join(", ")}, beside the documented ${documented.join(", ")}: stored as they are; see what they mean for your reports.`,
          ),
        ]
  })

/** The line about one check, if it is to be shown. */
const lineIf = (
  isShown: boolean,
  level: Finding["level"],
  check: string,
  about: About,
  text: () => string,
): ReadonlyArray<Finding> => (isShown ? [finding(level, check, text(), about)] : [])

const rejectLines = ({ records, rejects, unread }: Drift, about: About): ReadonlyArray<Finding> => {
  const rejected = rejects.reduce((sum, { count }) => sum + count, 0)
  return [
    ...lineIf(rejected > 0, rejected === records ? "fail" : "warn", "rejects", about, () => {
      const reasons = listed(rejects.map(({ field, count }) => `${field} is in the way of ${count}`))
      return `${rejected} of ${counted(records, "record")} would be rejects: ${reasons}. \`rejects list\` shows them after a sync; ask PayCombat what these fields mean.`
    }),
    ...lineIf(unread.length > 0, "warn", "unread fields", about, () => {
      const fields = listed(unread.map(({ field, count }) => `${field} (${count} times)`))
      return `null in the row, because they cannot be read: ${fields}. \`rejects list --kind field\` shows them after a sync; ask PayCombat what these fields mean.`
    }),
  ]
}

const fieldLines = (
  { types, undocumented, oddKeys, missing }: Drift,
  about: About,
): ReadonlyArray<Finding> => [
  ...lineIf(types.length > 0, "warn", "types", about, () => {
    const fields = types.map(type => {
      const documented = type.documented.filter(name => name !== "null")
      return `${type.field} (${type.types.join(" or ")} instead of ${documented.join(" or ")})`
    })
    return `other than documented: ${listed(fields)}. A number in place of text is read; another value is null in its column, or a reject where the record needs it, and is kept in raw: ask PayCombat what they hold now.`
  }),
  ...lineIf(undocumented.length + oddKeys > 0, "warn", "new fields", about, () => {
    const parts = [
      ...(undocumented.length > 0 ? [`not documented: ${listed(undocumented.map(withTypes))}`] : []),
      ...(oddKeys > 0 ? [`${counted(oddKeys, "key")} that may be data themselves, not shown`] : []),
    ]
    return `${parts.join("; ")}. They are kept in raw, and in no column: nothing is lost; ask PayCombat what they mean before you rely on them.`
  }),
  ...lineIf(missing.length > 0, "warn", "missing fields", about, () => {
    return `documented, but in no record of the sample: ${listed(missing)}. A column of such a field stays null: ask PayCombat whether they were renamed.`
  }),
]

/** The lines about a sample of records. */
export const driftFindings = (drift: Drift, about: About): ReadonlyArray<Finding> => {
  const { records, learned } = drift
  if (records === 0) return []
  const problems = [...rejectLines(drift, about), ...fieldLines(drift, about)]
  const asDocumented = () => `${counted(records, "record")} read, all as documented.`
  const seen = () => `kept whatever they hold, and now seen: ${listed(learned.map(withTypes))}.`
  return [
    ...problems,
    ...lineIf(problems.length === 0, "pass", "records", about, asDocumented),
    ...lineIf(learned.length > 0, "pass", "types", about, seen),
    ...valueFindings(drift, about),
  ]
}

const inAll = ({ holds, of }: Holds) => `in ${holds} of ${of}`

const signs = ({ negative, zero, positive }: EventMoney["amounts"]): string => {
  if (negative === 0) return zero === 0 ? "amounts are positive" : "amounts are never negative"
  return positive === 0
    ? "amounts are negative"
    : `amounts are negative in ${negative}, positive in ${positive}`
}

/** Names a doubt about fees on outgoing money. Only there the balances may be wrong by the fee. */
const feeNote = ({ directions, amounts, net, withFees }: EventMoney, feeField: string): string =>
  directions.includes(-1) && amounts.positive > 0 && withFees > 0 && net.formula?.endsWith(`− ${feeField}`)
    ? `; money goes out, and balances take the fee on top of the amount: where analytics.balance_reconciliation differs by the fees, it is part of the amount`
    : ""

const eventFinding = (event: EventMoney, feeField: string, about: About): Finding => {
  const { eventType, records, amounts, net, directions, withFees } = event
  const isMixed = amounts.negative > 0 && amounts.positive > 0
  const isAgainst = amounts.negative > 0 && directions.includes(1)
  const isUnexplained = net.holds < net.of
  const relation =
    net.of === 0
      ? "no net amount to compare"
      : `${net.formula ?? "no rule explains the net amount"} ${inAll(net)}, ${withFees === 0 ? "none" : withFees} with a fee`
  const moves = [
    directions.map(direction => (direction > 0 ? `+${direction}` : `${direction}`)).join(" or "),
    ...(event.isAssumed ? ["assumed"] : []),
  ].join(", ")
  const todo = [
    ...(isMixed || isAgainst
      ? ["balances take the amount without its sign, times the direction: ask PayCombat what the sign means"]
      : []),
    ...(isUnexplained ? ["ask PayCombat how the net amount comes about, before relying on it"] : []),
  ]
  return finding(
    todo.length > 0 ? "warn" : "pass",
    "money",
    `${eventType}${moves === "" ? "" : ` (${moves})`}, ${counted(records, "record")}: ${signs(amounts)}; ${relation}${todo.length > 0 ? `; ${todo.join("; ")}` : feeNote(event, feeField)}.`,
    about,
  )
}

/** Names in parentheses, if they are codes. */
const namesOf = ({ eventNames, furtherNames }: EventMoney): string => {
  const names = [...eventNames, ...(furtherNames > 0 ? [`${furtherNames} more that are not shown`] : [])]
  return names.length > 0 ? ` (${names.join(", ")})` : ""
}

const directionFindings = (events: ReadonlyArray<EventMoney>, about: About): ReadonlyArray<Finding> => {
  const unstored = events.filter(({ unmapped }) => unmapped === null)
  const unmapped = events.filter(event => event.unmapped !== null && event.unmapped > 0)
  const findings = unmapped.map(event =>
    checkOf("directions", about).warn(
      `${event.eventType} has none in ${event.unmapped} of ${counted(event.records, "record")}${namesOf(event)}: settlements and balances leave it out. Run \`paycombat-sync directions list\`, and \`directions set TYPE NAME DIRECTION\` for each.`,
    ),
  )
  if (unstored.length > 0)
    return [
      ...findings,
      checkOf("directions", about).warn(
        `rules are applied to stored transactions, and none is of each kind that the sample has (${unstored.map(({ eventType }) => eventType).join(", ")}): run doctor again after a sync.`,
      ),
    ]
  const assumed = events.filter(({ isAssumed }) => isAssumed).map(({ eventType }) => eventType)
  const confirming = `assumed until a person confirms them: ${listed(assumed)}. Run \`paycombat-sync directions confirm TYPE\` if the rule is right, else \`directions set TYPE NAME DIRECTION\`.`
  return [
    ...findings,
    ...lineIf(
      findings.length === 0,
      "pass",
      "directions",
      about,
      () => "every event type of the sample has one.",
    ),
    ...lineIf(assumed.length > 0, "pass", "directions", about, () => confirming),
  ]
}

/** The lines about the money of a sample. */
export const moneyFindings = (
  report: MoneyReport,
  money: NonNullable<StreamDocs["money"]>,
  about: About,
): ReadonlyArray<Finding> => {
  const { feeSum, foreignFees, negativeFees, events, furtherTypes } = report
  return [
    feeSum.of === 0
      ? checkOf("fees", about).pass("no record has all three fee fields.")
      : finding(
          feeSum.holds === feeSum.of ? "pass" : "warn",
          "fees",
          `${feeSum.formula} ${inAll(feeSum)}${feeSum.holds === feeSum.of ? "" : ": views take each field as it is; ask PayCombat which one counts"}.`,
          about,
        ),
    ...(negativeFees > 0
      ? [
          checkOf("fees", about).warn(
            `${counted(negativeFees, "fee")} below zero: balances subtract it as it is, so that it adds; ask PayCombat whether it is a refund.`,
          ),
        ]
      : []),
    ...(foreignFees.of > 0
      ? [
          checkOf("fees", about).pass(
            `in another currency than the amount in ${foreignFees.of}: ${money.netAmount} = ${money.amount} ${inAll(foreignFees)}; balances book such a fee in its own currency.`,
          ),
        ]
      : []),
    ...events.map(event => eventFinding(event, money.feesIncludingTax, about)),
    ...(furtherTypes > 0
      ? [
          checkOf("money", about).warn(
            `${counted(furtherTypes, "further event type")} not shown: too many. After a sync, see analytics.unmapped_event_type for all that have no direction.`,
          ),
        ]
      : []),
    ...directionFindings(events, about),
  ]
}
