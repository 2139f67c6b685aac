import type { Effect } from "effect"
import type postgres from "postgres"
import type { AccountSettings, RunSettings } from "../config/config.ts"
import type { AccountError, EndpointError, LeaseError, WarehouseError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import type { Limits } from "../core/verdict.ts"
import type { StreamProgress } from "../observe/progress.ts"
import type { Client } from "../paycombat/client/client.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import type { Lease } from "../warehouse/ledger/lease.ts"
import type { Beside } from "../warehouse/load/prepare.ts"

/** The options of a run, the context of one stream's run, and its result. */

export interface RunOptions extends RunSettings, Pick<SyncOptions, "confirmsRemovals" | "wait"> {
  readonly accounts: ReadonlyArray<AccountSettings>
  readonly streams: ReadonlyArray<Stream>
  /** True to read every list whole. A pass that was broken off begins anew. */
  readonly full: boolean
  /** Age of the latest full pass, in seconds, beyond which a list is read whole: the interval of full ticks; absent: a day. */
  readonly fullPassMaxAgeSeconds?: number
  /** Limits of freshness to store for the accounts. If absent, the stored ones stay. */
  readonly limits?: Limits
  /** Look-ups of an account's streams without a bound of their own, together at most. If absent: all due ones. */
  readonly lookupCalls?: number
}

/** Options of a sync for people and host applications. */
export interface SyncOptions {
  /** Names of accounts and streams. Absent or empty: all. */
  readonly accounts?: ReadonlyArray<string>
  readonly streams?: ReadonlyArray<string>
  /** True to read every list whole and from its beginning, also if its news would do. */
  readonly full?: boolean
  /** True to read every list whole, and to book unlisted records as removed, however many they are. */
  readonly confirmsRemovals?: boolean
  /** True to bring a given database up to date first. */
  readonly migrate?: boolean
  /** True to wait for accounts and streams that another run holds, however long that takes. */
  readonly wait?: boolean
}

export interface StreamContext {
  readonly sql: postgres.Sql
  readonly client: Client
  readonly account: AccountSettings
  readonly settings: RunSettings & Pick<RunOptions, "full" | "fullPassMaxAgeSeconds" | "confirmsRemovals">
  readonly lease: Lease
  readonly usage: { requests: number; retries: number }
  /** All streams of the registry, also those that this run leaves out. */
  readonly streams: ReadonlyArray<Stream>
  /** Look-ups that the account's run may still make, for streams without a bound of their own. */
  readonly budget: { calls: number }
  /** Ids of the stream's records that urgent work is reading beside this run. */
  readonly beside: Beside
  /** Waits until this run has read the core lists that it reads. */
  readonly coreEnded: Effect.Effect<void>
  /** Read every record in full: the stored rows are in a different privacy mode. */
  readonly mustReadAll: boolean
  readonly tell: (progress: Partial<StreamProgress>) => Effect.Effect<void>
}

export interface StreamResult {
  readonly rejected: number
  readonly removed: number
  readonly leftOver: number
  readonly note: string | null
  /** Set if the run did not do all that it was to do: it then failed, and what it did stays. */
  readonly error?: string | null
}

export interface ListResult extends StreamResult {
  readonly contract: Contract
}

export type StreamFailure = AccountError | EndpointError | LeaseError | WarehouseError
