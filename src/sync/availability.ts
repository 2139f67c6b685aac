import { Effect } from "effect"
import { type AccountError, EndpointError } from "../core/errors.ts"
import { isList, type Stream } from "../core/stream.ts"
import { type Contract, decodeContract } from "../paycombat/lists/contract.ts"
import { queryOf } from "../paycombat/lists/readPage.ts"
import { storedContract } from "../warehouse/ledger/contracts.ts"
import { bookMode } from "../warehouse/ledger/runs.ts"
import {
  bookAvailable,
  bookUnavailable,
  knownUnavailable,
  type Unavailable,
  viewsOf,
  wasAvailable,
} from "../warehouse/ledger/unavailable.ts"
import type { StreamContext, StreamFailure, StreamResult } from "./context.ts"
import { FULL_PASS_MAX_AGE_SECONDS } from "./listPlan.ts"

/**
 * Optional streams whose endpoint this token does not have. Such a stream is not available, which fails no run; a full pass
 * looks for it again.
 */

/** Core lists that are asked whether the API answers this token at all. */
const WITNESSES = 2

/** States that a stream is not available, in the words of `analytics.verdict`. The reason names the paths and a remedy. */
export const unavailableNote = ({ reason, views }: Pick<Unavailable, "reason" | "views">): string =>
  `is not available to this token: ${reason}.` +
  (views.length === 0 ? "" : ` Empty, or without its part, for that reason: ${views.join(", ")}.`) +
  " The next full pass looks for it again."

const ended = (note: string): StreamResult => ({ rejected: 0, removed: 0, leftOver: 0, note })

/** True if the API lists records of a core stream to this token now. One or two requests of a record each. */
export const answersAbout = (
  client: Pick<StreamContext["client"], "get">,
  contracts: ReadonlyArray<Contract>,
): Effect.Effect<boolean, AccountError> =>
  Effect.exists(contracts.slice(0, WITNESSES), contract =>
    client.get(contract.path, queryOf(contract, 1, 1)).pipe(
      Effect.as(true),
      Effect.catchTag("EndpointError", () => Effect.succeed(false)),
    ),
  )

const hasAnswers = ({ sql, client, account, streams, coreEnded }: StreamContext) =>
  Effect.gen(function* () {
    // In a first run their paths are known only when they have ended.
    yield* coreEnded
    const names = new Set(
      streams.flatMap(stream => (isList(stream) && !stream.isOptional ? [stream.name] : [])),
    )
    const contracts = yield* Effect.forEach(names, name =>
      storedContract(sql, account.name, name, decodeContract),
    )
    return yield* answersAbout(
      client,
      contracts.flatMap(contract => (contract?.verified === true ? [contract] : [])),
    )
  })

/** Ends the run of a stream that is not there: well, unless it was there before, or nothing else is there either. */
const endAbsent = (
  context: StreamContext,
  stream: Stream,
  error: EndpointError,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease } = context
    if (yield* wasAvailable(sql, lease, stream))
      return yield* new EndpointError({
        ...error,
        message: `it was read before, and is gone: ${error.message}. Stored rows stay as they were read last`,
      })
    if (!(yield* hasAnswers(context))) return yield* error
    const found = { reason: error.message, views: yield* viewsOf(sql, stream) }
    yield* bookUnavailable(sql, lease, found)
    return ended(unavailableNote(found))
  })

/**
 * Runs an optional stream if it is available. One that was found not to be is not asked about until the next full pass,
 * unless its path is configured.
 */
export const runIfAvailable = (
  context: StreamContext,
  stream: Stream,
  run: Effect.Effect<StreamResult, StreamFailure>,
): Effect.Effect<StreamResult, StreamFailure> =>
  Effect.gen(function* () {
    const { sql, lease, settings, account } = context
    const maxAgeSeconds = settings.fullPassMaxAgeSeconds ?? FULL_PASS_MAX_AGE_SECONDS
    const known = yield* knownUnavailable(sql, lease, maxAgeSeconds)
    if (known?.isFresh === true && !settings.full && account.paths[stream.name] === undefined) {
      // The latest full pass stays the one that looked for it.
      if (isList(stream)) yield* bookMode(sql, lease, "incremental")
      return ended(unavailableNote(known))
    }
    const result = yield* run.pipe(
      Effect.map(found => ({ found })),
      Effect.catchIf(
        error => error._tag === "EndpointError" && error.isAbsent === true,
        error => endAbsent(context, stream, error as EndpointError),
      ),
    )
    if (!("found" in result)) return result
    if (known !== undefined) yield* bookAvailable(sql, lease)
    return result.found
  })
