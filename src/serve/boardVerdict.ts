import { overall, type Verdict } from "../core/verdict.ts"
import type { Board } from "./snapshot.ts"

/** The verdict as `serve` tells it: that of the warehouse, and what only this process knows. */

/** Why the figures are not to be relied on; empty where the process is ready. */
export const reasonsOf = (board: Board): ReadonlyArray<string> => [
  ...(board.isStopping ? ["The process is stopping."] : []),
  ...(board.databaseProblem === null ? [] : [board.databaseProblem]),
  ...board.verdicts.flatMap(({ account, findings }) =>
    findings.flatMap(({ level, stream, text }) =>
      level === "bad" ? [`${account}${stream === null ? "" : `/${stream}`}: ${text}`] : [],
    ),
  ),
]

/** The verdict over all accounts: bad while the database cannot be used, since nothing newer is known then. */
export const boardVerdict = (board: Board): Pick<Verdict, "level" | "sentence"> =>
  board.databaseProblem === null
    ? overall(board.verdicts)
    : { level: "bad", sentence: "The database cannot be used." }
