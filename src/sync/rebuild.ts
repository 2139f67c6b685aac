import { Effect } from "effect"
import * as Config from "../config/config.ts"
import { ConfigurationError, type LeaseError, type WarehouseError } from "../core/errors.ts"
import type { Stream } from "../core/stream.ts"
import { Warehouse } from "../postgres/connect.ts"
import { streamsNamed } from "../registry.ts"
import type { RunSummary } from "../warehouse/ledger/summary.ts"
import {
  accountsStored,
  countStored,
  describeFailures,
  rebuildStream,
} from "../warehouse/maintain/rebuild.ts"
import { runMaintenance, type Scope } from "./maintenance.ts"

/** Normalizing again all that is stored, from the raw records. */

interface RebuildSettings {
  readonly leaseSeconds: number
  /** Names of accounts; all that the warehouse holds where there is none. */
  readonly accounts: ReadonlyArray<string>
  readonly streams: ReadonlyArray<Stream>
}

/** The same as `rebuildIn`, with settings given in code. */
export const rebuildWith = (
  settings: RebuildSettings,
): Effect.Effect<RunSummary | undefined, ConfigurationError | LeaseError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const stored = yield* accountsStored(sql, settings.streams)
    const unknown = settings.accounts.find(account => !stored.includes(account))
    if (unknown !== undefined) {
      const known = stored.length === 0 ? "it is empty" : `it holds ${stored.join(", ")}`
      return yield* new ConfigurationError({
        message: `The warehouse has nothing of an account ${unknown}: ${known}.`,
      })
    }
    const accounts = settings.accounts.length === 0 ? stored : settings.accounts
    const tasks = yield* Effect.forEach(
      accounts.flatMap(account => settings.streams.map(stream => ({ account, stream }))),
      ({ account, stream }) =>
        Effect.map(countStored(sql, account, stream), total => ({ account, stream, total })),
    )
    const filled = tasks.filter(({ total }) => total > 0)
    if (filled.length === 0) return undefined
    return yield* runMaintenance("rebuild", filled, settings.leaseSeconds, ({ stream }, lease, tell) =>
      rebuildStream(sql, lease, stream, ({ walked, changed, failed }) =>
        tell({ extracted: walked, updated: changed, rejected: failed }),
      ).pipe(Effect.map(rewritten => ({ rejected: 0, error: describeFailures(rewritten) }))),
    )
  })

/**
 * Normalizes again all that is stored, from the raw records: without an API call, and without a token. Answers what
 * the ledger says about it, or undefined where nothing is stored. A row whose raw record no longer decodes stays as it
 * is, and fails its stream's run. `LeaseError` means that nothing was done.
 */
export const rebuildIn = ({ accounts = [], streams = [] }: Scope) =>
  Effect.gen(function* () {
    const named = yield* streamsNamed(streams)
    const { leaseSeconds } = yield* Config.run
    return yield* rebuildWith({ leaseSeconds, accounts, streams: named })
  })
