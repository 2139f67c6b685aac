import type { ReportData, Row } from "./data.ts"
import { count, duration, plural } from "./text.ts"

/** Whether the figures can be trusted: said before any of them is shown. */

/** Older than this, a report does not show today. */
export const STALE_AFTER_SECONDS = 24 * 3_600
/** Removals and late changes are known up to the latest full pass: older than two nights, one was missed. */
export const FULL_STALE_AFTER_SECONDS = 48 * 3_600

export type Level = "good" | "attention" | "bad"

export interface Finding {
  readonly level: Level
  readonly text: string
}

/** What is the matter with a stream; undefined where nothing is. */
export const findingOf = (row: Row): Finding | undefined => {
  const name = `${row.account}/${row.stream}`
  const age = row.lag_seconds == null ? undefined : Number(row.lag_seconds)
  const fullAge = row.full_lag_seconds == null ? undefined : Number(row.full_lag_seconds)
  const bad = (text: string): Finding => ({ level: "bad", text: `${name} ${text}` })
  if (row.last_run_status === null)
    return bad("was never read: its figures are missing. Run `paycombat-sync sync`.")
  if (age === undefined)
    return bad("was never read to its end: figures are incomplete. See `paycombat-sync status`.")
  const old = `Its figures are ${duration(age)} old`
  if (row.last_ended_status === "failed")
    return bad(`failed when it was last read. ${old}. ${row.last_error ?? ""}`.trim())
  if (row.last_ended_status === "dead")
    return bad(`was being read by a process that ended without a word. ${old}.`)
  if (age > STALE_AFTER_SECONDS) return bad(`is stale: it was last read to its end ${duration(age)} ago.`)
  if (fullAge === undefined || fullAge > FULL_STALE_AFTER_SECONDS)
    return {
      level: "attention",
      text: `${name} was read whole ${fullAge === undefined ? "never" : `${duration(fullAge)} ago`}: removals and late changes may be missing. Run \`paycombat-sync sync --full\`.`,
    }
  return undefined
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
export const verdictOf = ({ freshness, unmapped }: Pick<ReportData, "freshness" | "unmapped">): Verdict => {
  const findings: ReadonlyArray<Finding> = [
    ...freshness.flatMap(row => findingOf(row) ?? []),
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
