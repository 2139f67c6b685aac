import { Effect } from "effect"
import { type AccountError, EndpointError } from "../Errors.ts"
import type { JsonObject } from "../Json.ts"
import type { ListSource } from "../Stream.ts"
import type { Client } from "./Client.ts"

/** How a list is read: what discovery found, as it is stored between runs. Plain JSON. */
export interface Contract {
  readonly path: string
  /** Name of the parameter that says which page; `offset` and `skip` count records, others count pages from 1. */
  readonly pageParam: string
  readonly sizeParam: string
  /** Where the records are in the answer, as keys from its top: `data`, `data.items`. */
  readonly at: string
  /** Records that a first page held; where the API allows fewer than was asked, its cap. */
  readonly pageSize: number
  /** Largest size that the API accepts to be asked; null where it refused none. */
  readonly maxPageSize: number | null
  /** Whether the answers state the length of the list. */
  readonly hasTotal: boolean
  /** A record of this very stream was read through it. An empty list proves nothing. */
  readonly verified: boolean
}

export interface DiscoveryOptions {
  /** Variable that sets the list's path, for messages: `PAYCOMBAT_PATH_CUSTOMERS`. */
  readonly pathVariable: string
  readonly configuredPath?: string | undefined
  readonly configuredPaging?: readonly [page: string, size: string] | undefined
  /** What an earlier run found. */
  readonly known?: Contract | undefined
}

/** The by-id endpoint that answers with a record: which of the source's candidates, and its answer. */
export interface Detail {
  /** Index into `source.detail.paths(id)`, the same for every id. */
  readonly candidate: number
  readonly record: JsonObject
  readonly readAt: Date
}

const unfinished = (path: string) =>
  Effect.fail(new EndpointError({ reason: "contract", path, message: "not built yet" }))

export const discover = (
  _client: Client,
  _source: ListSource,
  options: DiscoveryOptions,
): Effect.Effect<Contract, AccountError | EndpointError> => unfinished(options.pathVariable)

export const discoverDetail = (
  _client: Client,
  _source: ListSource,
  id: string,
): Effect.Effect<Detail, AccountError | EndpointError> => unfinished(id)

/** The record at a by-id path, or an error: `refused` with 404 where there is none. */
export const readRecord = (
  _client: Client,
  path: string,
): Effect.Effect<{ readonly record: JsonObject; readonly readAt: Date }, AccountError | EndpointError> =>
  unfinished(path)
