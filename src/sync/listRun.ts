import { Effect } from "effect"
import { pathVariable } from "../config/config.ts"
import type { Guarded, ListStream } from "../core/stream.ts"
import { type Contract, decodeContract } from "../paycombat/lists/contract.ts"
import { discover } from "../paycombat/lists/discovery.ts"
import { storeContract, storedContract } from "../warehouse/ledger/contracts.ts"
import { abandonPass } from "../warehouse/ledger/passes.ts"
import { bookMode } from "../warehouse/ledger/runs.ts"
import type { ById } from "./completeRecords.ts"
import type { ListResult, StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { runFull } from "./listFull.ts"
import { runIncremental } from "./listIncremental.ts"
import { planOf } from "./listPlan.ts"
import { joinNotes } from "./outcome.ts"

/** A run over a list: discover its contract → plan → read the list, or its news → store the contract. */

/** True if a contract is stored unchanged. Decoding sorts its keys as those of the stored one. */
const isSame = (stored: Contract | undefined, contract: Contract): boolean =>
  JSON.stringify(stored) === JSON.stringify(decodeContract(contract))

/** True if a pass that began with one contract can go on with the other: both read the same pages. */
const readsAlike = (a: Contract | undefined, b: Contract): boolean =>
  a?.path === b.path && a.pageParam === b.pageParam && a.sizeParam === b.sizeParam && a.at === b.at

const REFUTED = "Read whole: the order of the list was proven before and does not hold any more."

const doubt = ({ sql, account, lease }: StreamContext, { name }: ListStream) =>
  Effect.gen(function* () {
    const stored = yield* storedContract(sql, account.name, name, decodeContract)
    if (stored !== undefined) yield* storeContract(sql, lease, { ...stored, pagingProven: false })
  })

/** Reads a list: its news if this is proven to be enough and stays so, else all of it. */
export const runListStream = (
  context: StreamContext,
  stream: Guarded<ListStream>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, client, account, lease, settings } = context
    const stored = yield* storedContract(sql, account.name, stream.name, decodeContract)
    const contract = yield* discover(client, stream.source, {
      pathVariable: pathVariable(stream.name),
      configuredPath: account.paths[stream.name],
      configuredPaging: account.paging,
      stored,
    })
    const byId: ById = { endpoint: stored?.byId }
    const save = (proven: Contract) =>
      storeContract(sql, lease, {
        ...proven,
        ...(byId.endpoint === undefined ? {} : { byId: byId.endpoint }),
      })
    // Stored before the first page: the next run can go on with a pass only by the contract that the pass began with.
    if (!isSame(stored, contract)) yield* save(contract)
    if (!readsAlike(stored, contract)) {
      const { path, pageParam, sizeParam, at } = contract
      yield* Effect.logInfo(`found at ${path}, paging by ${pageParam},${sizeParam}, records in ${at}`)
    }
    const { contract: proven, ...result } = yield* readList(context, stream, contract, {
      byId,
      canResume: !settings.full && readsAlike(stored, contract),
    })
    yield* save(proven)
    return result
  }).pipe(
    // The contract was wrong: neither the pass nor the proof of its paging may be used again.
    Effect.tapErrorTag("EndpointError", error =>
      error.reason === "contract"
        ? Effect.ignore(Effect.zipRight(abandonPass(context.sql, context.lease), doubt(context, stream)))
        : Effect.void,
    ),
  )

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
