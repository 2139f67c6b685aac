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

/** Input of a run, input of one stream's run, and its result. */

export interface RunOptions extends RunSettings {
  readonly accounts: ReadonlyArray<AccountSettings>
  readonly streams: ReadonlyArray<Stream>
  /** True if every list is read whole, and passes that were broken off are begun anew. */
  readonly full: boolean
  /** Believes that what lists do not show any more is gone, also where it is too much at once to be believed without. */
  readonly confirmsRemovals?: boolean
  /**
   * Age in seconds of the latest full pass from which on a list is read whole, though what is new in it would do: the
   * longest time between two ticks of the full schedule; a day where absent.
   */
  readonly fullPassMaxAgeSeconds?: number
  /** Limits of freshness to be stored for the accounts; what is stored stays where absent. */
  readonly limits?: Limits
  /** Look-ups of an account that have no bound of their own make so many together at most; all that are due where absent. */
  readonly lookupCalls?: number
  /** Waits for accounts and streams that another run holds, however long that takes. */
  readonly wait?: boolean
}

/** What a person or a host application may ask of a sync. */
export interface SyncOptions {
  /** Names of accounts and streams; all where none is named. */
  readonly accounts?: ReadonlyArray<string>
  readonly streams?: ReadonlyArray<string>
  /** Reads every list whole and from its beginning, also where only what is new would do, or a broken-off pass could go on. */
  readonly full?: boolean
  /**
   * Reads every list whole, and believes that what it does not show any more is gone, also where that is a large part of
   * what is stored.
   */
  readonly confirmsRemovals?: boolean
  /** Brings a given database up to date first. */
  readonly migrate?: boolean
  /** Waits for accounts and streams that another run holds, however long that takes. */
  readonly wait?: boolean
}

/** What the run of one stream works with. */
export interface StreamContext {
  readonly sql: postgres.Sql
  readonly client: Client
  readonly account: AccountSettings
  readonly settings: RunSettings & Pick<RunOptions, "full" | "fullPassMaxAgeSeconds" | "confirmsRemovals">
  readonly lease: Lease
  readonly usage: { requests: number; retries: number }
  /** All streams that there are, also those that this run leaves out. */
  readonly streams: ReadonlyArray<Stream>
  /** Look-ups that the account's run may still make in all, where a look-up has no bound of its own. */
  readonly budget: { calls: number }
  /** Records of the stream that are being read by id beside this run, as urgent work. */
  readonly beside: Beside
  /** Read every record in full: the stored rows are in a different privacy mode. */
  readonly mustReadAll: boolean
  /** Tells how far the stream is; keeps what is not named. */
  readonly tell: (progress: Partial<StreamProgress>) => Effect.Effect<void>
}

/** What a stream's run came to, when it came to its end. */
export interface StreamResult {
  readonly rejected: number
  readonly removed: number
  readonly leftOver: number
  readonly note: string | null
  /** Set if the run did not do all that it was to do: it then failed, and what it did stays. */
  readonly error?: string | null
}

/** What a run over a list came to, and how its next run reads it. */
export interface ListResult extends StreamResult {
  readonly contract: Contract
}

export type StreamFailure = AccountError | EndpointError | LeaseError | WarehouseError
