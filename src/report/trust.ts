import { type Judged, type ProblemKind, problemOf } from "../Health.ts"
import type { FreshnessRule, ReportData, Row } from "./data.ts"
import { beyond, count, duration, limit, plural } from "./text.ts"

/** Whether the figures can be trusted: said before any of them is shown, and judged as `status` judges it. */

export type Level = "good" | "attention" | "bad"

export interface Finding {
  readonly level: Level
  readonly text: string
}

type Ended = NonNullable<Judged["lastEnded"]>["status"]

const secondsOf = (text: string | null | undefined): number | null => (text == null ? null : Number(text))

/** Ages are all that a row has, and all that counts: on a clock that stands at zero. */
const NOW = new Date(0)
const timeOf = (age: number | null) => (age === null ? null : new Date(-age * 1000).toISOString())

/** Not a stream of an account that is configured no more: it grows old, and nothing is wrong. */
export const isJudged = ({ account }: Row, { accounts }: FreshnessRule): boolean =>
  accounts.length === 0 || accounts.includes(account!)

/** Accounts that are configured and have nothing yet; and those that have something, and are configured no more. */
const accountsOf = ({ freshness, rule }: Pick<ReportData, "freshness" | "rule">): ReadonlyArray<Finding> => {
  const known = new Set(freshness.map(row => row.account!))
  const retired = new Set(freshness.filter(row => !isJudged(row, rule)).map(row => row.account!))
  return [
    ...rule.accounts
      .filter(name => !known.has(name))
      .map(name => ({
        level: "bad" as const,
        text: `${name}: nothing was synced yet. Run \`paycombat-sync sync --account ${name}\`.`,
      })),
    ...Array.from(retired, name => ({
      level: "attention" as const,
      text: `${name} is not configured any more: its figures stand as they were last synced. \`--account\` leaves it out.`,
    })),
  ]
}

/**
 * What is the matter with a stream, as `status` judges it; null where nothing is. Who is at work a reader cannot see:
 * a run whose process died is noticed when another one ends, or when the figures are too old.
 */
const problemKindOf = (row: Row, rule: FreshnessRule): ProblemKind | null => {
  const status = row.last_ended_status
  if (!isJudged(row, rule)) return null
  if (row.last_run_status === null) return "never"
  const found = problemOf(
    {
      lastEnded: status == null ? null : { status: status as Ended, at: "", error: row.last_error ?? null },
      isDead: false,
      heldBy: null,
      lastCompleteAt: timeOf(secondsOf(row.lag_seconds)),
      lastFullAt: timeOf(secondsOf(row.full_lag_seconds)),
    },
    rule,
    NOW,
  )
  return found?.kind ?? null
}

/** The same in words; undefined where nothing is the matter. */
export const findingOf = (row: Row, rule: FreshnessRule): Finding | undefined => {
  const name = `${row.account}/${row.stream}`
  const age = secondsOf(row.lag_seconds)
  const bad = (text: string): Finding => ({ level: "bad", text: `${name} ${text}` })
  const figures = age === null ? "There are no complete figures yet" : `Its figures are ${duration(age)} old`
  const kind = problemKindOf(row, rule)
  if (kind !== null && row.last_run_status !== null && age === null)
    return bad(
      `was never read to its end: figures are incomplete. ${row.last_error ?? ""} See \`paycombat-sync status\`.`.replace(
        "  ",
        " ",
      ),
    )
  switch (kind) {
    case null:
      return undefined
    case "never":
      return bad("was never read: its figures are missing. Run `paycombat-sync sync`.")
    case "failed":
      return bad(`failed when it was last read. ${figures}. ${row.last_error ?? ""}`.trim())
    case "dead":
      return bad(`was being read by a process that ended without a word. ${figures}.`)
    case "stale":
      return bad(`is stale: it was last read to its end ${beyond(age ?? 0, rule.maxAgeSeconds)}.`)
    case "full_stale":
      return {
        level: "attention",
        text: `${name} was read whole ${beyond(secondsOf(row.full_lag_seconds) ?? 0, rule.fullMaxAgeSeconds)}: removals and late changes may be missing. Run \`paycombat-sync sync --full\`.`,
      }
  }
}

/** What counts as fresh, and who says so. */
export const ruleText = ({ maxAgeSeconds, fullMaxAgeSeconds, ...rule }: FreshnessRule): string => {
  const zone = rule.timezone === "UTC" ? "" : `, ${rule.timezone}`
  const schedules = `\`${rule.schedule}\` and \`${rule.fullSchedule}\`${zone}`
  const limits = `Fresh is what was read to its end within ${limit(maxAgeSeconds)}, and whole within ${limit(fullMaxAgeSeconds)}`
  return rule.isGiven
    ? `${limits}: the former as --max-age says; the latter goes by the schedules ${schedules}, and is no less.`
    : `${limits}, by the schedules ${schedules}.`
}

const rejectsOf = (rows: ReadonlyArray<Row>): ReadonlyArray<Finding> =>
  rows
    .filter(row => Number(row.open_rejects ?? 0) > 0)
    .map(row => ({
      level: "attention",
      text: `${row.account}/${row.stream}: ${plural(row.open_rejects!, "record")} could not become a row and ${Number(row.open_rejects) === 1 ? "is" : "are"} in no figure. See \`paycombat-sync rejects list\`.`,
    }))

const leftOf = (rows: ReadonlyArray<Row>): ReadonlyArray<Finding> =>
  rows
    .filter(row => Number(row.left_over ?? 0) > 0)
    .map(row => ({
      level: "attention",
      text: `${row.account}/${row.stream}: ${count(row.left_over)} were left for the next run: their answers are older.`,
    }))

export interface Verdict {
  readonly level: Level
  readonly title: string
  readonly findings: ReadonlyArray<Finding>
}

/** The gravest finding decides. */
export const verdictOf = ({
  freshness,
  unmapped,
  rule,
}: Pick<ReportData, "freshness" | "unmapped" | "rule">): Verdict => {
  const findings: ReadonlyArray<Finding> = [
    ...accountsOf({ freshness, rule }),
    ...freshness.flatMap(row => findingOf(row, rule) ?? []),
    ...rejectsOf(freshness),
    ...leftOf(freshness),
    ...(unmapped.total > 0
      ? [
          {
            level: "attention" as const,
            text: `${plural(unmapped.total, "kind")} of transaction (by type, name and currency) ${unmapped.total === 1 ? "has" : "have"} no known direction: in no sum of settlements and balances. They are listed below; the rules are in warehouse.event_directions.`,
          },
        ]
      : []),
  ]
  if (freshness.length === 0)
    return {
      level: "bad",
      title: "There is nothing to report: no stream was ever read",
      findings: [{ level: "bad", text: "Run `paycombat-sync sync`, then write the report again." }],
    }
  if (findings.some(({ level }) => level === "bad"))
    return { level: "bad", title: "Do not rely on these figures yet", findings }
  return findings.length > 0
    ? { level: "attention", title: "The figures are fresh, with exceptions", findings }
    : { level: "good", title: "The figures are fresh and complete", findings }
}
