import { userInfo } from "node:os"
import { Effect, Option } from "effect"
import * as App from "../../app.ts"
import { ConfigurationError } from "../../core/errors.ts"
import { counted } from "../../core/words.ts"
import { isConfirmed } from "../terminal/confirm.ts"
import { print, printJson, say, table } from "../terminal/output.ts"
import { visible } from "../terminal/visible.ts"

const WORDS: Readonly<Record<string, App.Direction>> = {
  in: 1,
  "+1": 1,
  "1": 1,
  out: -1,
  "-1": -1,
  none: 0,
  "0": 0,
}

const NOTHING_CHANGED = "Nothing was changed."

const inWords = (direction: number | null): string =>
  direction === null ? "not known" : direction > 0 ? "in" : direction < 0 ? "out" : "none"

const ruleInWords = ({ rule, confirmedAt, eventType }: App.KindRule): string => {
  const state = confirmedAt === null ? "assumed" : "confirmed"
  switch (rule) {
    case "exact":
      return `rule for this name, ${state}`
    case "confirmed":
      return `rule for ${eventType}, confirmed`
    case "seed":
      return `rule for ${eventType}, assumed`
    case "completion":
      return `rule for ${eventType} and a word of completion, assumed`
    case "no_movement":
      return "the name says that nothing moved, assumed"
    default:
      return "no rule"
  }
}

/** Lists the kinds of transactions with their rules. */
export const list = ({
  account,
  json,
}: {
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
        kind.netDiffersCount > 0 ? `net differs in ${kind.netDiffersCount}` : "",
        kind.suggested === null ? "" : `likely ${inWords(kind.suggested)}`,
      ]
        .filter(text => text !== "")
        .join("; "),
    ])
    yield* print(table({ columns, rows }))
    if (kinds.some(({ direction, unmappedCount }) => direction === null || unmappedCount > 0))
      yield* say(
        "Transactions that are not counted are in no settlement and no balance: `paycombat-sync directions set TYPE NAME in|out|none` says what they do.",
      )
    if (kinds.some(({ confirmedAt, rule }) => confirmedAt === null && rule !== "none"))
      yield* say(
        "Rules are assumed until they are confirmed: `paycombat-sync directions confirm [TYPE [NAME]]`.",
      )
  }).pipe(Effect.provide(App.configuredExisting))

const changeInWords = ({
  account,
  eventType,
  eventName,
  currency,
  transactionCount,
  amount,
  before,
  after,
}: App.RuleChange) =>
  `${visible(account)}: ${visible(eventType)} ${visible(eventName === "" ? "(no name)" : eventName)}, ${counted(transactionCount, "transaction")}` +
  ` of together ${amount} ${visible(currency)}: ${inWords(before.direction)} → ${inWords(after.direction)}` +
  (after.unmappedCount > 0 ? `; ${after.unmappedCount} not counted` : "")

interface Asking {
  readonly yes: boolean
  readonly json: boolean
}

/** Shows what a change of the rules counts otherwise, asks on a terminal, and makes it. */
const change = (
  { yes, json }: Asking,
  apply: (options: App.RuleOptions) => ReturnType<typeof App.setDirection>,
) =>
  Effect.gen(function* () {
    const by = userInfo().username
    const changes = yield* apply({ by, isPreview: true })
    if (!json) {
      for (const each of changes) yield* print(changeInWords(each))
      if (changes.length === 0) yield* print("No transaction counts otherwise.")
    }
    if (
      !yes &&
      !json &&
      process.stdin.isTTY === true &&
      !(yield* isConfirmed("Change the rules so?", NOTHING_CHANGED))
    )
      return yield* say(NOTHING_CHANGED)
    yield* apply({ by, isPreview: false })
    if (json) yield* printJson(changes)
    else yield* say("The rules are changed. Figures follow at once.")
  }).pipe(Effect.provide(App.configuredExisting))

interface SetOptions extends Asking {
  readonly type: string
  readonly name: string
  readonly direction: string
  readonly asSent: boolean
}

/** Sets a rule. */
export const set = ({ type, name, direction, asSent, ...asking }: SetOptions) =>
  Effect.gen(function* () {
    const parsed = WORDS[direction]
    if (parsed === undefined)
      return yield* new ConfigurationError({
        message: `The direction must be in, out or none (or +1, -1, 0), not ${visible(direction)}.`,
      })
    const rule = { eventType: type, eventName: name, direction: parsed, asSent }
    yield* change(asking, options => App.setDirection(rule, options))
  })

interface ConfirmOptions extends Asking {
  readonly type: Option.Option<string>
  readonly name: Option.Option<string>
}

/** Confirms rules. */
export const confirm = ({ type, name, ...asking }: ConfirmOptions) =>
  change(asking, options =>
    App.confirmDirections(
      { eventType: Option.getOrUndefined(type), eventName: Option.getOrUndefined(name) },
      options,
    ),
  )
