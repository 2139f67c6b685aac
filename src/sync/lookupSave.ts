import { Effect } from "effect"
import type { Counts } from "../core/counts.ts"
import { addFields, NO_FIELDS } from "../core/documentedFields.ts"
import { openRejects } from "../warehouse/ledger/openRejects.ts"
import type { Answer, Lookup } from "../warehouse/lookups/lookup.ts"
import { saveRecords } from "../warehouse/lookups/records.ts"
import { stateFields } from "../warehouse/lookups/stateFields.ts"
import { saveStates } from "../warehouse/lookups/states.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { bookFieldsRead } from "./rejectBound.ts"

/** Saves the answers of a look-up, as states or as records: its declaration says which. */

interface Save {
  readonly save: (answers: ReadonlyArray<Answer>) => Effect.Effect<Counts, StreamFailure>
  /** Books the fields that all answers had. Answers the number of open rejects of the stream. */
  readonly end: Effect.Effect<number, StreamFailure>
}

export const makeSave = (context: StreamContext, { stream }: Lookup): Save => {
  const { sql, lease, usage, beside } = context
  const fields = { current: NO_FIELDS }
  const booked = Effect.suspend(() => bookFieldsRead(context, stream, fields.current, false))
  if (stream.source.answer.kind === "state")
    return {
      save: answers =>
        Effect.gen(function* () {
          const read = yield* stateFields(sql, lease.account, stream, answers)
          const counts = yield* saveStates(sql, lease, stream, answers, { ...usage, lost: read.lost })
          fields.current = addFields(fields.current, read.fields)
          return counts
        }).pipe(Effect.uninterruptible),
      end: Effect.as(booked, 0),
    }
  return {
    save: answers => saveRecords(sql, lease, stream, answers, { ...usage, fields, beside }),
    end: Effect.zipRight(booked, openRejects(sql, lease)),
  }
}
