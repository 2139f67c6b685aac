import { Either } from "effect"
import type { DecodedRecord } from "../../core/decodedRecord.ts"
import { isAddressable } from "../../core/id.ts"
import { timeOfChange } from "../../core/instant.ts"
import { isJsonObject, type Json, stringifyJson } from "../../core/json.ts"
import type { Stream } from "../../core/stream.ts"
import { unstorableText } from "../../postgres/unstorable.ts"
import { type Reject, rejectOf } from "../ledger/rejects.ts"
import { explain, pathName } from "./reasons.ts"
import { withoutTwins } from "./twins.ts"

/** A record with its id and the hash of its content. The time is the start of the request that read it, as ISO 8601. */
export interface HashedRecord {
  readonly record: Json
  readonly readAt: string
  readonly id: string | null
  readonly hash: string
  /** A page of the list showed it. */
  readonly isListed?: boolean
}

/** True for a list item that lacks a part, if its id cannot be in the path of the by-id endpoint that has the part. */
const lacksPartsForGood = ({ source }: Stream, record: Json, id: string | null): boolean =>
  source.kind === "list" &&
  source.detail !== null &&
  id !== null &&
  !isAddressable(id) &&
  isJsonObject(record) &&
  source.detail.isNeeded(record)

const NOT_ADDRESSABLE =
  "cannot stand in a path, so what the list leaves out of the record was not asked for; ask PayCombat for a proper id"

/** Decodes a record and makes its rows, or makes a reject with the reason. */
export const decode = (
  stream: Stream,
  { record, readAt, id, hash, isListed = false }: HashedRecord,
): Either.Either<DecodedRecord, Reject> => {
  const { idField } = stream.source
  const raw = stringifyJson(record)
  const reject = (field: string | null, reason: string): Reject =>
    rejectOf({ id, field, reason, raw, hash, readAt })
  const unstorable = unstorableText(record, raw)
  if (unstorable !== undefined) {
    const field = pathName(stream, unstorable.path)
    return Either.left(reject(field || null, `${field || "record"}: ${unstorable.problem}`))
  }
  return stream.decode(record).pipe(
    Either.mapLeft(issue => {
      if (lacksPartsForGood(stream, record, id)) return reject(idField, `${idField}: ${NOT_ADDRESSABLE}`)
      const { field, reason } = explain(record, issue)
      return reject(field, reason)
    }),
    Either.filterOrLeft(
      () => id !== null,
      () => reject(idField, `${idField}: is missing or not an id`),
    ),
    Either.map(decoded => {
      const sourceUpdatedAt = timeOfChange(decoded.sourceUpdatedAt, readAt)
      const normalized = { ...withoutTwins(stream, record, decoded), sourceUpdatedAt }
      return { id: id!, hash, readAt, raw, normalized, isListed }
    }),
  )
}

/** Makes the reject of another merchant's record. */
export const foreignReject = (stream: Stream, { record, readAt, id, hash }: HashedRecord): Reject => {
  const field = stream.source.kind === "list" ? stream.source.merchantField : null
  const reason = `${field ?? "record"}: is another merchant's; PAYCOMBAT_MERCHANTS lets it through where it is this account's`
  return rejectOf({ kind: "merchant", id, field, reason, raw: stringifyJson(record), hash, readAt })
}
