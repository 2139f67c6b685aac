import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import { ConfigurationError } from "../core/errors.ts"
import { foundGenerators } from "./generators.ts"
import { makeServer, type Requests } from "./server.ts"
import type { Changes } from "./world/changes.ts"
import type { FaultHook } from "./world/faults.ts"
import { listsOf } from "./world/generator.ts"
import { resolve, type SandboxOptions, type Shape } from "./world/options.ts"
import { recordsOf } from "./world/records.ts"
import { makeWorld, type World } from "./world/world.ts"

export { foundGenerators } from "./generators.ts"
export type { Requests } from "./server.ts"
export type { Place } from "./world/changes.ts"
export {
  FAULTS,
  type Fault,
  type FaultHook,
  type FaultName,
  type FaultRequest,
  seededFaults,
} from "./world/faults.ts"
export { type Generators, listsOf } from "./world/generator.ts"
export {
  AFTER_ENDS,
  type AutomaticChange,
  lastMidnight,
  type SandboxOptions,
  type Shape,
} from "./world/options.ts"

/**
 * A simulated PayCombat API: the documented endpoints and shapes, the undocumented parts as options (`SandboxOptions`),
 * data of any size at constant memory. `test/support/truth` computes from it what a warehouse should hold.
 *
 * Record `index` of a list is a pure function of seed and index. 0 is the oldest; an inserted record gets the next
 * number. The documented samples are served unchanged as transaction 0, payout 0, checkout 0, customers 0 and 2, and
 * wallet 2, if the lists are long enough (three customers, three transactions). Only changes are kept, so memory grows
 * with their number.
 */
export interface Sandbox
  extends Pick<
    Changes,
    "insert" | "touch" | "patch" | "replace" | "remove" | "hide" | "restore" | "setReadiness"
  > {
  readonly url: string
  readonly token: string
  readonly options: SandboxOptions
  /** Its data, from which tests compute what a warehouse should hold. */
  readonly world: World
  /** The records as they are served now. */
  readonly truth: {
    readonly count: (list: string) => number
    readonly ids: (list: string) => Generator<string>
    /** A record as its by-id endpoint answers it: JSON text. */
    readonly text: (list: string, index: number) => string
  }
  readonly requests: Requests
  readonly resetRequests: () => void

  readonly lists: ReadonlyArray<string>
  /** The path of a list at the start. */
  readonly pathOf: (list: string) => string
  /** The streams without a generator. Their records are copies of their fixture's, and `truth` only counts them. */
  readonly sampled: ReadonlyArray<string>

  readonly idOf: (list: string, index: number) => string
  readonly indexOf: (list: string, id: string) => number | undefined

  readonly makeReady: (customer: number) => void
  readonly setFault: (fault: FaultHook | null) => void
  /** Changes the undocumented parts of the lists from the next request on. */
  readonly reshape: (to: Partial<Shape>) => void
}

/** Starts a sandbox that stops with the scope. Fails if an option is impossible, or if the port is taken. */
export const start = (
  given: Partial<SandboxOptions> = {},
): Effect.Effect<Sandbox, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const options = yield* resolve(given)
    const { generators, sampled } = yield* foundGenerators
    const lists = listsOf(generators)
    const world = makeWorld(
      options,
      owners => new Map([...lists].map(([name, { count }]) => [name, count(options, owners)])),
    )
    const records = recordsOf(world, generators)
    const { server, requests, resetRequests, listing, setFault, reshape } = makeServer(
      world,
      records,
      generators,
    )
    const listen = Effect.async<AddressInfo, ConfigurationError>(resume => {
      server.once("error", (error: NodeJS.ErrnoException) =>
        resume(
          Effect.fail(
            new ConfigurationError({
              message: `The sandbox cannot listen on ${options.host}:${options.port} (${error.code}): choose another port, or 0 for a free one.`,
            }),
          ),
        ),
      )
      server.listen(options.port, options.host, () => resume(Effect.succeed(server.address() as AddressInfo)))
    })
    const close = Effect.async<void>(resume => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
    const { port } = yield* Effect.acquireRelease(listen, () => close)
    const host = options.host.includes(":") ? `[${options.host}]` : options.host
    return {
      url: `http://${host}:${port}`,
      token: options.token,
      options,
      world,
      truth: {
        count: list => listing(list).total(),
        ids: function* (list) {
          for (const index of listing(list).all()) yield records.idsOf(list).of(index)
        },
        text: records.text,
      },
      requests,
      resetRequests,
      lists: records.lists,
      pathOf: list => options.listPaths[list] ?? lists.get(list)!.listPath,
      sampled,
      idOf: (list, index) => records.idsOf(list).of(index),
      indexOf: records.find,
      ...world.changes,
      makeReady: customer => world.changes.setReadiness(customer, { ready: true, missing: [] }),
      setFault,
      reshape,
    }
  })
