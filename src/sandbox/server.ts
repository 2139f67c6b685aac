import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { type Answer, respond } from "./respond.ts"
import { type Route, type Router, routerOf } from "./routes.ts"
import type { Fault, FaultHook, FaultRequest } from "./world/faults.ts"
import type { Generators } from "./world/generator.ts"
import {
  byUpdated,
  errorBody,
  type Listing,
  listBody,
  listingOf,
  NOTHING_HERE,
  pageOf,
  REFUSALS,
  recordBody,
  type Stamp,
} from "./world/list.ts"
import type { Shape } from "./world/options.ts"
import { hash, lane } from "./world/random.ts"
import type { Records } from "./world/records.ts"
import { iso, type World } from "./world/world.ts"

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly query: string
}

/** Requests to the sandbox. By-id requests are counted under their path with `{id}`. */
export interface Requests {
  readonly total: number
  readonly byPath: ReadonlyMap<string, number>
  readonly byMethod: ReadonlyMap<string, number>
  readonly inFlightMax: number
  /** The latest `RECENT_MAX`, the oldest first. */
  readonly recent: ReadonlyArray<SeenRequest>
}

export const RECENT_MAX = 10_000

/** Clients keep connections for a while. If the server closes first, a request fails now and then. */
const KEEP_ALIVE_MILLIS = 65_000

const makeRequests = () => {
  const byPath = new Map<string, number>()
  const byMethod = new Map<string, number>()
  const recent: Array<SeenRequest> = []
  let total = 0
  let inFlight = 0
  let inFlightMax = 0
  const count = (counts: Map<string, number>, key: string) => {
    const n = (counts.get(key) ?? 0) + 1
    counts.set(key, n)
    return n
  }
  return {
    seen: {
      get total() {
        return total
      },
      get inFlightMax() {
        return inFlightMax
      },
      byPath,
      byMethod,
      recent,
    } satisfies Requests,
    reset: () => {
      total = 0
      inFlightMax = inFlight
      byPath.clear()
      byMethod.clear()
      recent.length = 0
    },
    begin: (request: SeenRequest, template: string) => {
      total += 1
      inFlight += 1
      inFlightMax = Math.max(inFlightMax, inFlight)
      recent.push(request)
      if (recent.length >= 2 * RECENT_MAX) recent.splice(0, recent.length - RECENT_MAX)
      count(byMethod, request.method)
      return { n: total, nth: count(byPath, template) }
    },
    end: () => {
      inFlight -= 1
    },
  }
}

/** Largest number of unknown paths that are counted one by one; a crawler must not fill the memory. */
const UNKNOWN_PATHS_MAX = 1_000
const OTHER_PATHS = "(other)"

const stampOf = (world: World, url: string): Stamp => {
  let own = world.options.seed
  for (let n = 0; n < url.length; n++) own = hash(own, 0, url.charCodeAt(n))
  const word = (n: number) => lane(own, n).toString(16).padStart(8, "0")
  return { requestId: word(0) + word(1) + word(2) + word(3), time: iso(world.changes.now()) }
}

interface State {
  readonly world: World
  readonly records: Records
  readonly generators: Generators
  readonly listings: ReadonlyMap<string, Listing>
  options: World["options"]
  route: Router
  fault: FaultHook | null
  pagesAnswered: number
  changesMade: number
}

const listingsOf = (world: World, records: Records): ReadonlyMap<string, Listing> =>
  new Map(
    records.lists.map(name => {
      const listing = listingOf(world, name)
      const { order } = world.options
      return [
        name,
        order === "updated-first" || order === "updated-last"
          ? byUpdated(order, listing, index => records.listed(name, index), world.changes.revision)
          : listing,
      ]
    }),
  )

const reshape = (state: State, to: Partial<Shape>): void => {
  state.options = { ...state.options, ...to }
  state.route = routerOf(state.options, state.generators)
}

const changeAfter = (state: State, stream: string, indices: ReadonlyArray<number>): void => {
  const { change } = state.options
  if (change === null || change.stream !== stream || state.changesMade >= change.times) return
  state.pagesAnswered += 1
  if (state.pagesAnswered % change.every !== 0) return
  const { changes } = state.world
  const first = indices[0]
  state.changesMade += 1
  if (change.action === "insert-front") changes.insert(stream, 1, "front")
  else if (change.action === "insert-back") changes.insert(stream, 1, "back")
  else if (first !== undefined) changes[change.action](stream, first)
}

const refuse = (status: number, text: string, message: string, stamp: Stamp): Answer => ({
  status,
  body: errorBody(status, text, message, stamp),
})

const noRecord = (stamp: Stamp): Answer => refuse(404, "Not Found", "There is no such record", stamp)

const list = (state: State, stream: string, query: URLSearchParams, stamp: Stamp): Answer => {
  const { options, records, listings } = state
  const page = pageOf(listings.get(stream)!, options, query)
  const refusal = page.isBeyond ? REFUSALS[options.afterEnd] : undefined
  if (refusal !== undefined) return refuse(...refusal, "There is no such page", stamp)
  const nothing = page.isBeyond ? NOTHING_HERE[options.afterEnd] : undefined
  if (nothing !== undefined) return nothing
  const texts = page.indices.map(index => records.listed(stream, index))
  const body = listBody(options, stream, page, texts, stamp)
  changeAfter(state, stream, page.indices)
  return { status: 200, body }
}

const lookup = (
  { world, records, generators, options }: State,
  stream: string,
  id: string,
  stamp: Stamp,
): Answer => {
  const generator = generators.get(stream)
  if (generator?.kind !== "lookup") return refuse(404, "Not Found", "There is no such path", stamp)
  const index = generator.of === undefined ? 0 : records.find(generator.of, id)
  return index === undefined
    ? noRecord(stamp)
    : { status: 200, body: recordBody(options, generator.answer(world, id, index), stamp) }
}

const detail = ({ records, options }: State, stream: string, id: string, stamp: Stamp): Answer => {
  const index = records.find(stream, id)
  return index === undefined
    ? noRecord(stamp)
    : { status: 200, body: recordBody(options, records.text(stream, index), stamp) }
}

/** Finds a wrong record for a request: the first other one of the list, if there are two. */
const mistaken = ({ generators, listings, records }: State, route: Route): Route => {
  const generator = generators.get(route.stream)
  const name = generator?.kind === "lookup" ? generator.of : route.stream
  if (route.kind === "list" || name === undefined) return route
  const ids = listings.get(name)!.slice(0, 2).map(records.idsOf(name).of)
  return { ...route, id: ids.find(id => id !== route.id) ?? route.id }
}

const answer = (
  state: State,
  request: IncomingMessage,
  requested: Route | undefined,
  query: URLSearchParams,
  mistake: Fault["mistakes"],
): Answer => {
  const route = requested !== undefined && mistake === "record" ? mistaken(state, requested) : requested
  if (mistake === "page") query.delete(state.options.pagingNames[0])
  const stamp = stampOf(state.world, request.url ?? "")
  if (request.method !== "GET") return refuse(405, "Method Not Allowed", "Only GET is simulated", stamp)
  if (request.headers["x-token"] !== state.options.token)
    return refuse(401, "Unauthorized", "X-token is missing or not valid", stamp)
  if (route === undefined) return refuse(404, "Not Found", "There is no such path", stamp)
  if (route.kind === "list") return list(state, route.stream, query, stamp)
  return (route.kind === "detail" ? detail : lookup)(state, route.stream, route.id, stamp)
}

export const makeServer = (world: World, records: Records, generators: Generators) => {
  const requests = makeRequests()
  const state: State = {
    ...{ world, records, generators, options: world.options },
    listings: listingsOf(world, records),
    route: routerOf(world.options, generators),
    fault: world.options.fault,
    ...{ pagesAnswered: 0, changesMade: 0 },
  }
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const url = request.url ?? ""
    const mark = url.indexOf("?")
    const path = mark < 0 ? url : url.slice(0, mark)
    const query = new URLSearchParams(mark < 0 ? "" : url.slice(mark))
    const method = request.method ?? ""
    const route = state.route(path)
    const isCounted = route !== undefined || requests.seen.byPath.size < UNKNOWN_PATHS_MAX
    const numbers = requests.begin(
      { method, path, query: query.toString() },
      route?.template ?? (isCounted ? path : OTHER_PATHS),
    )
    response.once("close", requests.end)
    request.resume()
    const faultRequest: FaultRequest = { method, path, query, ...numbers }
    const happens = state.fault?.(faultRequest)
    respond(response, happens, () => answer(state, request, route, query, happens?.mistakes))
  }
  return {
    server: createServer({ keepAliveTimeout: KEEP_ALIVE_MILLIS }, handle),
    requests: requests.seen,
    resetRequests: requests.reset,
    listing: (name: string) => state.listings.get(name)!,
    setFault: (hook: FaultHook | null) => {
      state.fault = hook
    },
    reshape: (to: Partial<Shape>) => reshape(state, to),
  }
}
