import { Cause, Exit, Option } from "effect"
import type { Status } from "../warehouse/ledger/runs.ts"
import type { StreamFailure, StreamResult } from "./context.ts"

/** How runs are booked that ended one way or another, and what the ledger keeps of what they have to say. */

interface Ending extends Pick<StreamResult, "removed" | "leftOver" | "note"> {
  readonly status: Exclude<Status, "running" | "dead">
  readonly error: string | null
}

/** How a stream's run is booked that ended this way. */
export const outcomeOf = (exit: Exit.Exit<StreamResult, StreamFailure>): Ending => {
  const nothing = { removed: 0, leftOver: 0, note: null }
  if (Exit.isSuccess(exit)) {
    const { rejected, ...result } = exit.value
    return { ...result, status: rejected > 0 ? "complete_with_rejects" : "complete", error: null }
  }
  if (Cause.isInterruptedOnly(exit.cause)) {
    return { ...nothing, status: "interrupted", error: "Told to stop; the next run goes on from here." }
  }
  const failure = Cause.failureOption(exit.cause)
  // What is neither of the five errors is a mistake of ours: its stack is for a log, its first line for the ledger.
  const message = Option.match(failure, {
    onSome: error => error.message,
    onNone: () => `Unexpected: ${Cause.pretty(exit.cause).split("\n")[0]}`,
  })
  return { ...nothing, status: "failed", error: message }
}

/** A stream that another run took over is booked as dead: this run did not do all that it was to do. */
export const worstStatus = (statuses: ReadonlyArray<string>): Status => {
  if (statuses.some(status => ["failed", "dead", "running"].includes(status))) return "failed"
  return (
    (["interrupted", "complete_with_rejects"] as const).find(status => statuses.includes(status)) ??
    "complete"
  )
}

/** What a stream's run has to say, sentence by sentence, as the ledger keeps it; null where it is nothing. */
export const joinNotes = (...sentences: ReadonlyArray<string | null | undefined>): string | null =>
  sentences.filter(sentence => typeof sentence === "string").join(" ") || null
