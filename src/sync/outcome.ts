import { Cause, Exit, Option } from "effect"
import type { Status } from "../core/words.ts"
import type { Mode } from "../warehouse/ledger/runs.ts"
import type { StreamFailure, StreamResult } from "./context.ts"

/** The status, the error and the notes that the ledger keeps of a run that ended. */

interface Outcome extends Pick<StreamResult, "removed" | "leftOver" | "note"> {
  readonly status: Exclude<Status, "running" | "dead">
  readonly error: string | null
}

const NOTHING = { removed: 0, leftOver: 0, note: null }

const isMaintenance = (mode: Mode): boolean => mode === "replay" || mode === "rebuild"

export const outcomeOf = (exit: Exit.Exit<StreamResult, StreamFailure>, mode: Mode): Outcome => {
  if (Exit.isSuccess(exit)) {
    const { rejected, error = null, ...result } = exit.value
    const status = error !== null ? "failed" : rejected > 0 ? "complete_with_rejects" : "complete"
    return { ...result, status, error }
  }
  if (Cause.isInterruptedOnly(exit.cause)) {
    const rest = isMaintenance(mode) ? "what was done stays" : "the next run goes on from here"
    return { ...NOTHING, status: "interrupted", error: `Told to stop; ${rest}.` }
  }
  // Anything but the five errors is a mistake of ours. The log has its stack, the ledger its first line.
  const error = Option.match(Cause.failureOption(exit.cause), {
    onSome: ({ message }) => message,
    onNone: () => `Unexpected: ${Cause.pretty(exit.cause).split("\n")[0]}`,
  })
  return { ...NOTHING, status: "failed", error }
}

/** The status of a run by those of its streams. A dead or running one was taken over: the run is failed. */
export const worstStatus = (statuses: ReadonlyArray<string>): Status => {
  if (statuses.some(status => ["failed", "dead", "running"].includes(status))) return "failed"
  return (
    (["interrupted", "complete_with_rejects"] as const).find(status => statuses.includes(status)) ??
    "complete"
  )
}

/** The note of a stream's run: the sentences that are there, in their order; null if there is none. */
export const joinNotes = (...sentences: ReadonlyArray<string | null | undefined>): string | null =>
  sentences.filter(sentence => typeof sentence === "string").join(" ") || null
