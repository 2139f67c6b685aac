import type { Level, Verdict } from "../../core/verdict.ts"
import { visible } from "./visible.ts"

/** How verdicts stand at the end of what a command prints. */

export const MARKS: Readonly<Record<Level, string>> = { good: "✔", attention: "!", bad: "✖" }

/** One line per account; the account is named where there are several. */
export const verdictLines = (
  verdicts: ReadonlyArray<Pick<Verdict, "account" | "level" | "sentence">>,
): ReadonlyArray<string> =>
  verdicts.map(({ account, level, sentence }) =>
    visible(`${MARKS[level]} ${verdicts.length > 1 ? `${account}: ` : ""}${sentence}`),
  )
