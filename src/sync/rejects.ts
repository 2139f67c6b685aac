import { Effect } from "effect"
import * as Config from "../config/config.ts"
import { ConfigurationError, type LeaseError, type WarehouseError } from "../core/errors.ts"
import { type Guarded, redacting } from "../core/stream.ts"
import { Warehouse } from "../postgres/connect.ts"
import { streamsNamed } from "../registry.ts"
import type { RunSummary } from "../warehouse/ledger/summary.ts"
import {
  countChosen,
  type MerchantsOf,
  type ReplayScope,
  replayRejects,
} from "../warehouse/maintain/replay.ts"
import {
  everyReject,
  listRejects,
  type RejectKind,
  type RejectList,
  type RejectScope,
  rejectNumbered,
  syncedAccounts,
  type TakeRejects,
  type WholeReject,
} from "../warehouse/read/rejectList.ts"
import { runMaintenance, type Scope } from "./maintenance.ts"

/** Records that could not become a row: looking at them, and trying them again. */

/** Refuses the name of an account that was never synced. */
const syncedBefore = (accounts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const known = yield* syncedAccounts(sql)
    const unknown = accounts.find(name => !known.includes(name))
    if (unknown === undefined) return
    return yield* new ConfigurationError({
      message: `Nothing was synced yet for an account ${unknown}: check the name, or run \`paycombat-sync sync\`.`,
    })
  })

/** What is asked for: all that still wait to become a row, or with `all` also those that are no longer listed. */
export type RejectsAsked = Scope & { readonly all?: boolean; readonly kinds?: ReadonlyArray<RejectKind> }

const scopeOf = ({ accounts = [], streams = [], all = false, kinds = [] }: RejectsAsked) =>
  Effect.gen(function* () {
    const named = yield* streamsNamed(streams)
    yield* syncedBefore(accounts)
    return { accounts, streams: named.map(({ name }) => name), all, kinds } satisfies RejectScope
  })

/** The newest rejects, up to a thousand of them, and how many there are. */
export const rejectsIn = (
  asked: RejectsAsked,
): Effect.Effect<RejectList, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    return yield* listRejects(sql, yield* scopeOf(asked))
  })

/** Hands over all of them, those first seen first, batch by batch: they may be more than fit into memory. */
export const everyRejectIn = (
  asked: RejectsAsked,
  take: TakeRejects,
): Effect.Effect<void, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    yield* everyReject(sql, yield* scopeOf(asked), take)
  })

/** One reject with its raw text, which is personal data. */
export const rejectOf = (
  id: number,
): Effect.Effect<WholeReject, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const found = yield* rejectNumbered(sql, id)
    if (found !== undefined) return found
    return yield* new ConfigurationError({
      message: `There is no reject ${id}: see \`paycombat-sync rejects list --all\`.`,
    })
  })

interface ReplaySettings extends Omit<ReplayScope, "streams"> {
  /** The merchants that are configured for an account; none where absent. */
  readonly merchantsOf?: MerchantsOf
  readonly leaseSeconds: number
  readonly streams: ReadonlyArray<Guarded>
}

/** The same as `replayIn`, with settings given in code. */
export const replayWith = (
  settings: ReplaySettings,
): Effect.Effect<RunSummary | undefined, ConfigurationError | LeaseError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const scope: ReplayScope = { ...settings, streams: settings.streams.map(({ name }) => name) }
    for (const id of new Set(settings.ids)) yield* rejectOf(id)
    const tasks = (yield* countChosen(sql, scope)).flatMap(({ account, stream: name, count }) => {
      const stream = settings.streams.find(candidate => candidate.name === name)
      return stream === undefined ? [] : [{ account, stream, total: count }]
    })
    if (tasks.length === 0) return undefined
    return yield* runMaintenance("replay", tasks, settings.leaseSeconds, ({ stream }, lease, tell) =>
      replayRejects(
        sql,
        lease,
        stream,
        scope,
        settings.merchantsOf ?? (() => []),
        ({ extracted, inserted, updated, rejected }) => tell({ extracted, inserted, updated, rejected }),
      ).pipe(
        Effect.map(({ rejected, itemRejected }) => ({ rejected: rejected + itemRejected, error: null })),
      ),
    )
  })

export interface ReplayOptions extends Scope {
  /** Also those that are no longer listed. */
  readonly all?: boolean
  /** Numbers of rejects; all that are open where there is none. */
  readonly ids?: ReadonlyArray<number>
}

/**
 * Decodes rejects again with today's code, and makes rows of those that decode now, as of the time they were read.
 * Answers what the ledger says about it, or undefined where there is none to replay. A number that none of them has is
 * a wrong argument, and nothing is done. `LeaseError` means that nothing was done.
 */
export const replayIn = ({ accounts = [], streams = [], all = false, ids = [] }: ReplayOptions) =>
  Effect.gen(function* () {
    const named = yield* streamsNamed(streams)
    const { leaseSeconds, privacy } = yield* Config.run
    yield* syncedBefore(accounts)
    const { sql } = yield* Warehouse
    const configured = new Map(
      yield* Effect.forEach(yield* syncedAccounts(sql), account =>
        Effect.map(Config.merchants(account), merchants => [account, merchants] as const),
      ),
    )
    return yield* replayWith({
      merchantsOf: account => configured.get(account) ?? [],
      leaseSeconds,
      accounts,
      streams: named.map(stream => redacting(stream, privacy)),
      all,
      ids,
    })
  })
