import { Effect, Option } from "effect"
import * as App from "../../app.ts"
import { ConfigurationError } from "../../core/errors.ts"
import { loginName } from "../../core/login.ts"
import { counted } from "../../core/words.ts"
import { isConfirmed } from "../terminal/confirm.ts"
import { print, printJson, say, table } from "../terminal/output.ts"
import { visible } from "../terminal/visible.ts"
import { existingDemo } from "./demoDatabase.ts"

const WORDS: Readonly<Record<string, App.Direction>> = {
  in: 1,
  "+1": 1,
  "1": 1,
  out: -1,
  "-1": -1,
  none: 0,
  "0": 0,
}

interface Place {
  readonly demo: boolean
}

const warehouseIn = ({ demo }: Place) => (demo ? existingDemo : App.configuredExisting)

/** A command of this program that a message names. */
const commandIn = ({ demo }: Place, command: string) =>
  `\`paycombat-sync directions ${command}${demo ? " --demo" : ""}\``

const NOTHING_CHANGED = "Nothing was changed."

const inWords = (direction: number | null): string =>
  direction === null ? "not known" : direction > 0 ? "in" : direction < 0 ? "out" : "none"

const ruleInWords = ({ rule, confirmedAt, confirmedBy, eventType }: App.KindRule): string => {
  const state = confirmedAt === null ? "assumed" : `confirmed by ${confirmedBy ?? "a person"}`
  switch (rule) {
    case "exact":
      return `${state}: the rule for this name`
    case "completion":
      return `${state}: the rule for ${eventType}, and a word of completion`
    case "no_movement":
      return `${state}: the name says that nothing moved`
    case "none":
      return "no rule"
    default:
      return `${state}: the rule for ${eventType}`
  }
}

/** Lists the kinds of transactions with their rules. */
export const list = ({
  account,
  json,
  demo,
}: Place & {
  readonly account: ReadonlyArray<string>
  readonly json: boolean
}) =>
  Effect.gen(function* () {
    const kinds = yield* App.directions(account)
    if (json) return yield* printJson(kinds)
    if (kinds.length === 0) return yield* print("There are no transactions yet.")
    const columns = [
      "account",
      "type",
      "name",
      "currency",
      "transactions",
      "amount",
      "direction",
      "rule",
      "to check",
    ]
    const rows = kinds.map(kind => [
      kind.account,
      kind.eventType,
      kind.eventName === "" ? "-" : kind.eventName,
      kind.currency,
      String(kind.transactionCount),
      kind.amount,
      kind.amountSign === "as_sent" ? "as sent" : inWords(kind.direction),
      ruleInWords(kind),
      [
        kind.unmappedCount > 0 ? `${kind.unmappedCount} not counted` : "",
        // The net of a transaction that moves nothing is not documented.
        kind.netDiffersCount > 0 && kind.direction !== 0 ? `net differs in ${kind.netDiffersCount}` : "",
        kind.suggested === null ? "" : `likely ${inWords(kind.suggested)}`,
      ]
        .filter(text => text !== "")
        .join("; "),
    ])
    yield* print(table({ columns, rows }))
    if (kinds.some(({ unmappedCount }) => unmappedCount > 0))
      yield* say(
        `Transactions that are not counted are in no settlement and no balance: ${commandIn({ demo }, "set TYPE NAME in|out|none")} sets what they do.`,
      )
    const assumed = kinds.filter(({ confirmedAt, rule }) => confirmedAt === null && rule !== "none")
    if (assumed.length > 0)
      yield* say(
        `Rules are assumed until they are confirmed: ${commandIn({ demo }, "confirm")}, or for one type ${commandIn({ demo }, `confirm ${assumed[0]!.eventType}`)}.`,
      )
  }).pipe(Effect.provide(warehouseIn({ demo })))

const nameInWords = (eventName: string) => (eventName === "" ? "(no name)" : visible(eventName))

const changeInWords = (change: App.RuleChange) =>
  `${visible(change.account)}: ${visible(change.eventType)} ${nameInWords(change.eventName)}, ` +
  `${counted(change.transactionCount, "transaction")}${change.isNegative ? " with a minus" : ""} of together ` +
  `${change.amount} ${visible(change.currency)}: ${inWords(change.before)} → ${inWords(change.after)}`

const changedInWords = (words: string, { rules }: App.RulesChanged) =>
  `${words}: ${rules
    .map(
      ({ eventType, eventName, direction, amountSign }) =>
        `${visible(eventType)} ${nameInWords(eventName)} (${amountSign === "as_sent" ? "as sent" : inWords(direction)})`,
    )
    .join(", ")}. Figures follow at once.`

interface Asking extends Place {
  readonly yes: boolean
  readonly json: boolean
}

/** Shows what a change of the rules counts otherwise, asks on a terminal, and makes it. */
const change = (
  { yes, json, demo }: Asking,
  words: string,
  apply: (options: App.RuleOptions) => ReturnType<typeof App.setDirection>,
) =>
  Effect.gen(function* () {
    const by = loginName() ?? `uid ${process.getuid?.()}`
    const isAsked = !yes && !json && process.stdin.isTTY === true
    const changed = yield* apply({ by, isPreview: isAsked })
    if (json) return yield* printJson(changed)
    for (const each of changed.changes) yield* print(changeInWords(each))
    if (changed.changes.length === 0) yield* print("No transaction counts otherwise.")
    if (changed.rules.length === 0)
      return yield* say("All of these rules are confirmed already. Nothing was changed.")
    if (isAsked) {
      if (!(yield* isConfirmed("Change the rules?", NOTHING_CHANGED))) return yield* say(NOTHING_CHANGED)
      yield* apply({ by, isPreview: false })
    }
    yield* say(changedInWords(words, changed))
  }).pipe(Effect.provide(warehouseIn({ demo })))

interface SetOptions extends Asking {
  readonly type: string
  readonly name: string
  readonly direction: string
  readonly asSent: boolean
}

/** The direction that a person gave; fails with one line about the first mistake. */
const parsed = ({ type, name, direction, asSent }: SetOptions) => {
  const mistake = (message: string) => new ConfigurationError({ message })
  const given = WORDS[direction]
  if (type.trim() === "")
    return mistake("The type must not be empty: `paycombat-sync directions list` shows the types.")
  if (given === undefined)
    return mistake(`The direction must be in, out or none (or +1, -1, 0), not ${visible(direction)}.`)
  if (given === 0 && asSent)
    return mistake("--as-sent needs the direction in or out: none means that the amount moves nothing.")
  return Effect.succeed({ eventType: type, eventName: name, direction: given, asSent })
}

/** Sets a rule. */
export const set = (options: SetOptions) =>
  Effect.flatMap(parsed(options), rule => change(options, "Set", asking => App.setDirection(rule, asking)))

interface ConfirmOptions extends Asking {
  readonly type: Option.Option<string>
  readonly name: Option.Option<string>
}

/** Confirms rules. */
export const confirm = ({ type, name, ...asking }: ConfirmOptions) =>
  change(asking, "Confirmed", options =>
    App.confirmDirections(
      { eventType: Option.getOrUndefined(type), eventName: Option.getOrUndefined(name) },
      options,
    ),
  )
