import { Effect } from "effect"
import type { EndpointError } from "../core/errors.ts"
import { isAddressable } from "../core/id.ts"
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts"
import { recordIdOf } from "../core/recordId.ts"
import type { ListStream } from "../core/stream.ts"
import { discoverDetail, readDetail } from "../paycombat/lists/byId.ts"
import type { Page } from "../paycombat/lists/page.ts"
import { isNotFound } from "../paycombat/lists/readPage.ts"
import type { SourceRecord } from "../warehouse/load/prepare.ts"
import type { StreamContext, StreamFailure } from "./context.ts"

/** Completes the records of a page that lack parts, by their by-id endpoint, before they are loaded. */

/** List items that are tried before the by-id endpoint counts as not there: one of them may be gone by then. */
const DETAIL_PROBES = 3

export interface ReadPageRecords {
  readonly page: Page
  readonly records: ReadonlyArray<SourceRecord>
}

/** The by-id endpoint of a stream, as a run finds it while it reads the pages. */
export interface ById {
  /** Its path, with `{id}` for the id. An earlier run found it until this one proves it. */
  endpoint: string | undefined
}

/**
 * Replaces the records of a page that lack parts by their by-id answers. A 404 for a listed record is a contradiction,
 * and no proof: the stored row stays, and the item counts as unanswered. Without a stored row, it is a reject.
 */
export const completeRecords = (context: StreamContext, stream: ListStream, byId: ById) => {
  const { client, account } = context
  const { detail } = stream.source
  let endpoint: string | undefined
  /** True if a record lacks parts and can be read by id. An id that is no key, or fits no path, cannot. */
  const lacksParts = (record: Json): record is JsonObject => {
    const id = recordIdOf(stream.source, record)
    return (
      detail !== null && id !== null && isAddressable(id) && isJsonObject(record) && detail.isNeeded(record)
    )
  }
  const read = (
    record: JsonObject,
    readAt: Date,
  ): Effect.Effect<ReadonlyArray<SourceRecord>, StreamFailure> => {
    const id = recordIdOf(stream.source, record)!
    return readDetail(client, stream.source, endpoint!, id).pipe(
      Effect.map(whole => [{ record: { ...record, ...whole.record }, readAt: whole.readAt, isListed: true }]),
      Effect.catchIf(isAboutRecord, error =>
        Effect.succeed([{ record, readAt, isListed: true, isContradicted: isNotFound(error) }]),
      ),
    )
  }
  const findEndpoint = ([first, ...others]: ReadonlyArray<JsonObject>): Effect.Effect<
    string,
    StreamFailure
  > =>
    discoverDetail(client, stream.source, recordIdOf(stream.source, first)!, byId.endpoint).pipe(
      Effect.map(detail => detail.endpoint),
      Effect.catchIf(
        error => isAboutRecord(error) && others.length > 0,
        () => findEndpoint(others),
      ),
    )
  return (page: Page): Effect.Effect<ReadPageRecords, StreamFailure> =>
    Effect.gen(function* () {
      const lacking = page.records.filter(lacksParts)
      if (lacking.length > 0 && endpoint === undefined) {
        // If other records have those parts the list is whole: these few records are at fault, and not the endpoint.
        const isUnusual = page.records.some(
          record => isJsonObject(record) && detail?.isNeeded(record) === false,
        )
        endpoint = yield* findEndpoint(lacking.slice(0, DETAIL_PROBES)).pipe(
          Effect.catchIf(
            error => isAboutRecord(error) && isUnusual,
            () => Effect.succeed(undefined),
          ),
        )
        byId.endpoint = endpoint ?? byId.endpoint
      }
      const records = yield* Effect.forEach(
        page.records,
        (record): Effect.Effect<ReadonlyArray<SourceRecord>, StreamFailure> =>
          endpoint !== undefined && lacksParts(record)
            ? read(record, page.readAt)
            : Effect.succeed([{ record, readAt: page.readAt, isListed: true }]),
        { concurrency: account.concurrency },
      )
      return { page, records: records.flat() }
    })
}

/** True for a definite answer about the one record. Other errors are about the endpoint. */
const isAboutRecord = (error: StreamFailure): error is EndpointError =>
  error._tag === "EndpointError" &&
  error.status !== 403 &&
  (error.reason === "refused" || error.reason === "failed" || error.reason === "contract")
