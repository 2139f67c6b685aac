import { findingsOf, gravest, type Level, overall, type Verdict } from "../core/verdict.ts"
import type { ReportData, Row, Trust } from "../warehouse/report/types.ts"
import { limit } from "./text.ts"

/** Turns verdicts of `analytics.verdict` into the text of a report. */

/** Sums up the verdicts on the accounts of a report, with the gravest findings first. */
export const trustIn = (verdicts: ReadonlyArray<Verdict>): Trust => {
  const findings = verdicts.flatMap(({ account, findings }) =>
    findings.map(({ level, stream, text }): Trust["findings"][number] => ({
      level,
      text: `${account}${stream === null ? "" : `/${stream}`}: ${text}`,
    })),
  )
  if (verdicts.length === 0)
    findings.push({ level: "bad", text: "Run `paycombat-sync sync`, then write the report again." })
  return {
    ...pick(overall(verdicts)),
    findings: (["bad", "attention", "good"] as const).flatMap(level =>
      findings.filter(finding => finding.level === level),
    ),
    accounts: verdicts,
  }
}

const pick = ({ level, sentence }: Pick<Verdict, "level" | "sentence">) => ({ level, sentence })

/** Returns the level of one stream of an account, or `retired` if the account is no longer configured. */
export const trustOf = ({ account, stream }: Row, { accounts }: Trust): Level | "retired" => {
  const findings = accounts.find(verdict => verdict.account === account)?.findings ?? []
  return findings.some(({ kind }) => kind === "retired") ? "retired" : gravest(findingsOf(findings, stream!))
}

/** Describes the freshness limits behind the verdict: those given for this report, else the stored ones. */
export const limitsText = ({
  freshness,
  rule: { limits },
}: Pick<ReportData, "freshness" | "rule">): string => {
  const sentences = freshness.flatMap(row => {
    if (row.max_age_seconds == null) return []
    const maxAge = limits.maxAgeSeconds ?? Number(row.max_age_seconds)
    const fullMaxAge = limits.fullMaxAgeSeconds ?? Number(row.full_max_age_seconds)
    const whole = Math.max(fullMaxAge, limits.maxAgeSeconds ?? 0)
    return [
      `Figures are fresh if the last complete sync is at most ${limit(maxAge)} old and the last full pass at most ${limit(whole)}.`,
    ]
  })
  const [first, ...others] = new Set(sentences)
  if (first === undefined) return ""
  return others.length === 0
    ? first
    : "Each account has its own limits of freshness: see analytics.freshness."
}
