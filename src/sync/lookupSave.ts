import { Effect } from "effect"
import { addFields, NO_FIELDS } from "../core/documentedFields.ts"
import { countRows } from "../observe/metrics.ts"
import { bookLost } from "../warehouse/ledger/fields.ts"
import { inLeaseTx } from "../warehouse/ledger/lease.ts"
import { openRejects } from "../warehouse/ledger/passes.ts"
import type { Answer } from "../warehouse/lookups/answer.ts"
import type { Lookup } from "../warehouse/lookups/lookup.ts"
import { saveRecords } from "../warehouse/lookups/records.ts"
import { stateFields } from "../warehouse/lookups/stateFields.ts"
import { saveStates } from "../warehouse/lookups/states.ts"
import type { StreamContext, StreamFailure } from "./context.ts"
import { bookFieldsRead } from "./rejectBound.ts"

/** Saves the answers of a look-up, as states or as records: its declaration says which. */

/** Counts of saved answers. */
interface Counts {
  readonly extracted: number
  readonly inserted: number
  readonly updated: number
  readonly unanswered: number
}

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
          // Before the answers replace the ones that carried these fields.
          if (Object.keys(read.lost.lacked).length > 0)
            yield* inLeaseTx(sql, lease, tx => bookLost(tx, lease, read.lost))
          const saved = yield* saveStates(sql, lease, stream, answers, usage)
          fields.current = addFields(fields.current, read.fields)
          yield* countRows(lease, saved)
          return { ...saved, extracted: answers.length }
        }).pipe(Effect.uninterruptible),
      end: Effect.as(booked, 0),
    }
  return {
    save: answers =>
      Effect.gen(function* () {
        const counts = yield* saveRecords(sql, lease, stream, answers, { ...usage, fields, beside })
        const unanswered = answers.filter(({ isUnanswered }) => isUnanswered).length
        yield* countRows(lease, { unanswered })
        return { ...counts, unanswered, extracted: counts.extracted + unanswered }
      }).pipe(Effect.uninterruptible),
    end: Effect.zipRight(booked, openRejects(sql, lease)),
  }
}
