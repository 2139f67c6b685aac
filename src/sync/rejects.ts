import { Effect } from "effect"
import { ConfigurationError, type WarehouseError } from "../core/errors.ts"
import { neverSynced } from "../core/words.ts"
import { Warehouse } from "../postgres/connect.ts"
import { streamsNamed } from "../registry.ts"
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

/** Reads rejects: records that could not become a row. */

/** Names of accounts and streams; all if none is named. */
export interface Scope {
  readonly accounts?: ReadonlyArray<string>
  readonly streams?: ReadonlyArray<string>
}

/** Refuses the name of an account that was never synced. */
export const syncedBefore = (accounts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const synced = yield* syncedAccounts(sql)
    const unknown = accounts.find(name => !synced.includes(name))
    if (unknown === undefined) return
    return yield* new ConfigurationError({ message: neverSynced(unknown) })
  })

/** The rejects to read: all that still wait to become a row, or with `all` also those that are no longer listed. */
export type RejectsAsked = Scope & { readonly all?: boolean; readonly kinds?: ReadonlyArray<RejectKind> }

const scopeOf = ({ accounts = [], streams = [], all = false, kinds = [] }: RejectsAsked) =>
  Effect.gen(function* () {
    const named = yield* streamsNamed(streams)
    yield* syncedBefore(accounts)
    return { accounts, streams: named.map(({ name }) => name), all, kinds } satisfies RejectScope
  })

/** Reads the newest rejects, up to a thousand of them, and counts all. */
export const rejectsIn = (
  wanted: RejectsAsked,
): Effect.Effect<RejectList, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    return yield* listRejects(sql, yield* scopeOf(wanted))
  })

/** Hands over all rejects, those first seen first, batch by batch: they may be more than fit into memory. */
export const everyRejectIn = (
  wanted: RejectsAsked,
  take: TakeRejects,
): Effect.Effect<void, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    yield* everyReject(sql, yield* scopeOf(wanted), take)
  })

/** Reads one reject with its raw text, which is personal data. */
export const rejectOf = (
  id: number,
): Effect.Effect<WholeReject, ConfigurationError | WarehouseError, Warehouse> =>
  Effect.gen(function* () {
    const { sql } = yield* Warehouse
    const reject = yield* rejectNumbered(sql, id)
    if (reject !== undefined) return reject
    return yield* new ConfigurationError({
      message: `There is no reject ${id}: see \`paycombat-sync rejects list --all\`.`,
    })
  })
