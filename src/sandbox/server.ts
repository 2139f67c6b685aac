import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { type Answer, respond } from "./respond.ts"
import type { Fault, FaultHook, FaultRequest } from "./world/faults.ts"
import type { Generators } from "./world/generator.ts"
import {
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
import type { SandboxOptions, Shape } from "./world/options.ts"
import { hash, lane } from "./world/random.ts"
import type { Records } from "./world/records.ts"
import { between, byUpdated, type TimeOf } from "./world/times.ts"
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
  /** Largest number of requests answered at the same time. */
  readonly inFlightMax: number
  /** The latest `RECENT_MAX`, the oldest first. */
  readonly recent: ReadonlyArray<SeenRequest>
}

export const RECENT_MAX = 10_000

/** Clients keep connections for a while. If the server closes first, a request fails now and then. */
const KEEP_ALIVE_MILLIS = 65_000

interface Route {
  readonly kind: "list" | "detail" | "lookup"
  readonly stream: string
  readonly template: string
  readonly id: string
}

type Router = (path: string) => Route | undefined

const routerOf = (options: SandboxOptions, generators: Generators): Router => {
  const exact = new Map<string, Route>()
  const byId: Array<{ readonly head: string; readonly tail: string; readonly route: Route }> = []
  const addById = (template: string, kind: Route["kind"], stream: string) => {
    const [head = "", tail = ""] = template.split("{id}")
    byId.push({ head, tail, route: { kind, stream, template, id: "" } })
  }
  // Look-ups come first, because the by-id path of a list may be the beginning of theirs.
  for (const [stream, generator] of generators)
    if (generator.kind === "lookup") addById(generator.path, "lookup", stream)
  for (const [stream, generator] of generators) {
    if (generator.kind !== "list") continue
    const list = options.listPaths[stream] ?? generator.listPath
    exact.set(list, { kind: "list", stream, template: list, id: "" })
    const given = options.detailPaths[stream]
    const template = given === undefined ? generator.detailPath : given
    if (template !== null) addById(template, "detail", stream)
  }
  return path => {
    const known = exact.get(path)
    if (known !== undefined) return known
    for (const { head, tail, route } of byId) {
      if (!path.startsWith(head) || !path.endsWith(tail)) continue
      const id = path.slice(head.length, path.length - tail.length)
      if (id !== "" && !id.includes("/")) return { ...route, id }
    }
    return undefined
  }
}

/** Bounded counters for tests. */
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

/** The simulated API and its state between answers. */
export interface SandboxServer {
  readonly server: Server
  readonly requests: Requests
  readonly resetRequests: () => void
  readonly listing: (stream: string) => Listing
  readonly setFault: (fault: FaultHook | null) => void
  readonly reshape: (to: Partial<Shape>) => void
}

export const makeServer = (world: World, records: Records, generators: Generators): SandboxServer => {
  const { changes } = world
  let options = world.options
  let route = routerOf(options, generators)
  const requests = makeRequests()
  const timeOf =
    (stream: string): TimeOf =>
    (index, field) => {
      const time = Date.parse(JSON.parse(records.listed(stream, index))[field])
      return Number.isNaN(time) ? null : time
    }
  const listings = new Map(
    records.lists.map(name => {
      const listing = listingOf(world, name)
      const { order } = options
      const isByUpdated = order === "updated-first" || order === "updated-last"
      return [name, isByUpdated ? byUpdated(order, listing, timeOf(name), changes.revision) : listing]
    }),
  )
  const listingNamed = (name: string): Listing => listings.get(name)!
  let fault = options.fault
  let pagesAnswered = 0
  let changesMade = 0

  const reshape = (to: Partial<Shape>): void => {
    options = { ...options, ...to }
    route = routerOf(options, generators)
  }
  let pagesAsked = 0
  const reshapeBefore = (): void => {
    if (options.reshape !== null && pagesAsked++ === options.reshape.afterPages) reshape(options.reshape.to)
  }
  const changeAfter = (stream: string, indices: ReadonlyArray<number>): void => {
    const change = options.change
    if (change === null || change.stream !== stream || changesMade >= change.times) return
    pagesAnswered += 1
    if (pagesAnswered % change.every !== 0) return
    const first = indices[0]
    changesMade += 1
    if (change.action === "insert-front") changes.insert(stream, 1, "front")
    else if (change.action === "insert-back") changes.insert(stream, 1, "back")
    else if (first !== undefined) changes[change.action](stream, first)
  }
  const refuse = (status: number, text: string, message: string, stamp: Stamp): Answer => ({
    status,
    body: errorBody(status, text, message, stamp),
  })
  const list = (stream: string, query: URLSearchParams, stamp: Stamp): Answer => {
    reshapeBefore()
    const { timeFilter } = options
    const whole = listingNamed(stream)
    const listing = timeFilter === null ? whole : between(whole, timeFilter, query, timeOf(stream))
    const page = pageOf(listing, options, query)
    const refusal = page.isBeyond ? REFUSALS[options.afterEnd] : undefined
    if (refusal !== undefined) return refuse(...refusal, "There is no such page", stamp)
    const nothing = page.isBeyond ? NOTHING_HERE[options.afterEnd] : undefined
    if (nothing !== undefined) return nothing
    const texts = page.indices.map(index => records.listed(stream, index))
    const body = listBody(options, stream, page, texts, stamp)
    changeAfter(stream, page.indices)
    return { status: 200, body }
  }
  const lookup = (stream: string, id: string, stamp: Stamp): Answer => {
    const generator = generators.get(stream)
    if (generator?.kind !== "lookup") return refuse(404, "Not Found", "There is no such path", stamp)
    const index = generator.of === undefined ? 0 : records.find(generator.of, id)
    return index === undefined
      ? refuse(404, "Not Found", "There is no such record", stamp)
      : { status: 200, body: recordBody(options, generator.answer(world, id, index), stamp) }
  }
  const detail = (stream: string, id: string, stamp: Stamp): Answer => {
    const index = records.find(stream, id)
    return index === undefined
      ? refuse(404, "Not Found", "There is no such record", stamp)
      : { status: 200, body: recordBody(options, records.text(stream, index), stamp) }
  }
  /** Finds a wrong record for a request: the first other one of the list, if there are two. */
  const mistaken = (found: Route): Route => {
    const generator = generators.get(found.stream)
    const list = generator?.kind === "lookup" ? generator.of : found.stream
    if (found.kind === "list" || list === undefined) return found
    const ids = listingNamed(list).slice(0, 2).map(records.idsOf(list).of)
    return { ...found, id: ids.find(id => id !== found.id) ?? found.id }
  }
  const answer = (
    request: IncomingMessage,
    asked: Route | undefined,
    query: URLSearchParams,
    mistake: Fault["mistakes"],
  ): Answer => {
    const found = asked !== undefined && mistake === "record" ? mistaken(asked) : asked
    if (mistake === "page") query.delete(options.pagingNames[0])
    const stamp = stampOf(world, request.url ?? "")
    if (request.method !== "GET") return refuse(405, "Method Not Allowed", "Only GET is simulated", stamp)
    if (request.headers["x-token"] !== options.token)
      return refuse(401, "Unauthorized", "X-token is missing or not valid", stamp)
    if (found === undefined) return refuse(404, "Not Found", "There is no such path", stamp)
    if (found.kind === "list") return list(found.stream, query, stamp)
    return (found.kind === "detail" ? detail : lookup)(found.stream, found.id, stamp)
  }

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const url = request.url ?? ""
    const mark = url.indexOf("?")
    const path = mark < 0 ? url : url.slice(0, mark)
    const query = new URLSearchParams(mark < 0 ? "" : url.slice(mark))
    const method = request.method ?? ""
    const found = route(path)
    const isCounted = found !== undefined || requests.seen.byPath.size < UNKNOWN_PATHS_MAX
    const numbers = requests.begin(
      { method, path, query: query.toString() },
      found?.template ?? (isCounted ? path : OTHER_PATHS),
    )
    response.once("close", requests.end)
    request.resume()
    const asked: FaultRequest = { method, path, query, ...numbers }
    const happens = fault?.(asked)
    respond(response, happens, () => answer(request, found, query, happens?.mistakes))
  }
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MILLIS }, handle)
  return {
    server,
    requests: requests.seen,
    resetRequests: requests.reset,
    listing: listingNamed,
    setFault: hook => {
      fault = hook
    },
    reshape,
  }
}
