import { Effect } from "effect"
import { pathVariable } from "../config/config.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { type Contract, decodeContract } from "../paycombat/lists/contract.ts"
import { discover } from "../paycombat/lists/discovery.ts"
import { storeContract, storedContract } from "../warehouse/ledger/contracts.ts"
import { bookMode } from "../warehouse/ledger/passes.ts"
import { abandonPass } from "../warehouse/ledger/runs.ts"
import type { ById } from "./completeRecords.ts"
import type { ListResult, StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { runFull } from "./listFull.ts"
import { runIncremental } from "./listIncremental.ts"
import { planOf } from "./listPlan.ts"
import { joinNotes } from "./outcome.ts"

/** A run over a list: discover → plan → read whole, or what is new → save how the next run reads it. */

/** True if a contract is stored as it is. Decoding brings its keys into the order of the stored one's. */
const isSame = (stored: Contract | undefined, contract: Contract): boolean =>
  JSON.stringify(stored) === JSON.stringify(decodeContract(contract))

/** True if a pass that was made with one contract can go on with the other: its pages are the same pages. */
const readsAlike = (a: Contract | undefined, b: Contract): boolean =>
  a?.path === b.path && a.pageParam === b.pageParam && a.sizeParam === b.sizeParam && a.at === b.at

const REFUTED =
  "Read whole: what was proven of the list, its order or its filter by time, does not hold any more."

/** Has the next run prove anew how the list is read. */
const doubt = ({ sql, account, lease }: StreamContext, { name }: ListStream) =>
  Effect.gen(function* () {
    const stored = yield* storedContract(sql, account.name, name, decodeContract)
    if (stored !== undefined) yield* storeContract(sql, lease, { ...stored, pagingProven: false })
  })

/**
 * Reads a list: whole, or as far as it is new where that is proven to be enough. What is found not to hold
 * meanwhile is made up for by reading the whole list.
 */
export const runListStream = (
  context: StreamContext,
  stream: Guarded<ListStream>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, account, lease, settings } = context
    const known = yield* storedContract(sql, account.name, stream.name, decodeContract)
    const found = yield* discover(client, stream.source, {
      pathVariable: pathVariable(stream.name),
      configuredPath: account.paths[stream.name],
      configuredPaging: account.paging,
      known,
    })
    const byId: ById = { endpoint: known?.byId }
    const save = (contract: Contract) =>
      storeContract(sql, lease, {
        ...contract,
        ...(byId.endpoint === undefined ? {} : { byId: byId.endpoint }),
      })
    // Before the first page: the next run goes on with a pass that is broken off only by the contract that it began with.
    if (!isSame(known, found)) yield* save(found)
    if (!readsAlike(known, found)) {
      const { path, pageParam, sizeParam, at } = found
      yield* Effect.logInfo(`found at ${path}, paging by ${pageParam},${sizeParam}, records in ${at}`)
    }
    const { contract, ...result } = yield* readList(context, stream, found, {
      byId,
      canResume: !settings.full && readsAlike(known, found),
    })
    yield* save(contract)
    return result
  }).pipe(
    // What was read on a wrong contract must not be gone on with, nor the contract be believed again.
    Effect.tapErrorTag("EndpointError", error =>
      error.reason === "contract"
        ? Effect.ignore(Effect.zipRight(abandonPass(context.sql, context.lease), doubt(context, stream)))
        : Effect.void,
    ),
  )

/** Reads a list by its contract: what is new, where that is proven to be enough, or all of it. */
const readList = (
  context: StreamContext,
  stream: Guarded<ListStream>,
  contract: Contract,
  options: { readonly byId: ById; readonly canResume: boolean },
): Effect.Effect<ListResult, StreamFailure> =>
  Effect.gen(function* () {
    const plan = yield* planOf(context, stream, contract)
    if (plan.mode === "full") {
      const result = yield* runFull(context, stream, contract, options)
      return { ...result, note: joinNotes(result.note, plan.why) }
    }
    const result = yield* runIncremental(context, stream, contract, plan, options.byId)
    if (result !== undefined) return result
    yield* bookMode(context.sql, context.lease, "full")
    const { learned: _, ...relearning } = contract
    const full = yield* runFull(context, stream, relearning, options)
    return { ...full, note: joinNotes(full.note, REFUTED) }
  })
