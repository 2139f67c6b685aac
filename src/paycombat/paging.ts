import { Stream } from "effect"
import { type AccountError, EndpointError } from "../Errors.ts"
import type { Json } from "../Json.ts"
import type { ListSource } from "../Stream.ts"
import type { Client } from "./Client.ts"
import type { Contract } from "./discovery.ts"

/** Where a pass goes on. Plain JSON: a checkpoint stores it whole, and may lower `page` to read pages again. */
export interface Position {
  readonly page: number
  readonly pageSize: number
  /** Ids that headed the list when the pass began: what tells later insertions at the front apart. */
  readonly head: ReadonlyArray<string>
}

export interface Page {
  readonly number: number
  readonly pageSize: number
  /** May be empty; may repeat records of earlier pages. */
  readonly records: ReadonlyArray<Json>
  readonly readAt: Date
  /** Length of the list as the API states it now, for progress only. */
  readonly total: number | undefined
  /** Where to go on when everything up to this page is committed; null with the last page: the pass is complete. */
  readonly next: Position | null
  readonly isLast: boolean
}

export const pages = (
  _client: Client,
  contract: Contract,
  _source: ListSource,
  _from?: Position,
): Stream.Stream<Page, AccountError | EndpointError> =>
  Stream.fail(new EndpointError({ reason: "contract", path: contract.path, message: "not built yet" }))
