import type { SandboxOptions } from "./options.ts"
import { inverseOf, strideOf } from "./owners.ts"
import { hash, KIND } from "./random.ts"
import type { World } from "./world.ts"

/** Lists as served. The order at the start is computed; only inserted and removed records are stored. */
export interface Listing {
  /** Records that are listed. */
  readonly total: () => number
  /** Places on all pages: more than records where removed records leave holes. */
  readonly places: () => number
  /** Indices of up to `limit` records after the first `offset`, in the order served. */
  readonly slice: (offset: number, limit: number) => ReadonlyArray<number>
  readonly all: () => Generator<number>
}

interface Arrangement {
  readonly indexAt: (place: number) => number
  readonly placeOf: (index: number) => number
}

/** Orders the records. `shuffled` walks with a stride: it visits each place once, and neighbours are far apart. */
const arrange = ({ order, seed }: SandboxOptions, count: number): Arrangement => {
  if (order === "oldest-first" || order === "updated-last")
    return { indexAt: place => place, placeOf: index => index }
  if (order === "newest-first" || order === "updated-first")
    return { indexAt: place => count - 1 - place, placeOf: index => count - 1 - index }
  const size = Math.max(1, count)
  const stride = strideOf(size)
  const undo = inverseOf(stride, size)
  const shift = hash(seed, KIND.order, size) % size
  return {
    indexAt: place => (place * stride + shift) % size,
    placeOf: index => (((index - shift + size) % size) * undo) % size,
  }
}

export const listingOf = (world: World, list: string): Listing => {
  const { front, back, removed } = world.changes.of(list)
  const base = world.changes.base(list)
  const { indexAt, placeOf } = arrange(world.options, base)
  const leavesHoles = world.options.removedLeavesHoles
  let removedPlaces: ReadonlyArray<number> = []
  let revision = 0

  const length = () => front.length + base + back.length
  const at = (place: number): number => {
    const middle = place - front.length
    if (middle < 0) return front[place]!
    return middle < base ? indexAt(middle) : back[middle - base]!
  }
  const placeOfAny = (index: number): number => {
    if (index < base) return front.length + placeOf(index)
    const place = front.indexOf(index)
    return place >= 0 ? place : front.length + base + back.indexOf(index)
  }
  const placeAfter = (offset: number): number => {
    if (revision !== world.changes.revision()) {
      removedPlaces = [...removed].map(placeOfAny).sort((a, b) => a - b)
      revision = world.changes.revision()
    }
    let place = offset
    for (const gone of removedPlaces) {
      if (gone > place) break
      place += 1
    }
    return place
  }
  const slice = (offset: number, limit: number): ReadonlyArray<number> => {
    const indices: Array<number> = []
    const first = leavesHoles ? offset : placeAfter(offset)
    const last = leavesHoles ? Math.min(length(), offset + limit) : length()
    for (let place = first; place < last && indices.length < limit; place++) {
      const index = at(place)
      if (!removed.has(index)) indices.push(index)
    }
    return indices
  }
  function* all(): Generator<number> {
    for (let place = 0; place < length(); place++) {
      const index = at(place)
      if (!removed.has(index)) yield index
    }
  }
  const total = () => length() - removed.size
  return { total, places: leavesHoles ? length : total, slice, all }
}

/** The list by time of change, read from the records; those without one are the oldest. For small lists. */
export const byUpdated = (
  order: "updated-first" | "updated-last",
  listing: Listing,
  textOf: (index: number) => string,
  revision: () => number,
): Listing => {
  const direction = order === "updated-first" ? -1 : 1
  const timeOf = (index: number) => Date.parse(JSON.parse(textOf(index)).updated_at) || 0
  let sortedAt = -1
  let sorted: ReadonlyArray<number> = []
  const indices = () => {
    if (sortedAt !== revision()) {
      const timed = [...listing.all()].map(index => ({ index, time: timeOf(index) }))
      sorted = timed.sort((a, b) => direction * (a.time - b.time)).map(({ index }) => index)
      sortedAt = revision()
    }
    return sorted
  }
  return {
    total: () => indices().length,
    places: () => indices().length,
    slice: (offset, limit) => indices().slice(offset, offset + limit),
    *all() {
      yield* indices()
    },
  }
}

/** Names of a position that counts records; any other name counts pages. */
const COUNTS_RECORDS = new Set(["offset", "skip", "start", "from"])

/** Values of `afterEnd` with which an empty list is still answered as an empty list. */
const LISTS_NONE: ReadonlySet<string> = new Set(["empty", "404", "repeat", "400", "410", "422"])

export interface Page {
  readonly number: number
  readonly size: number
  readonly indices: ReadonlyArray<number>
  readonly total: number
  readonly isBeyond: boolean
}

const wholeNumber = (text: string | null, least: number): number | undefined => {
  const value = text === null || text.trim() === "" ? Number.NaN : Number(text)
  return Number.isInteger(value) && value >= least ? value : undefined
}

/** The page for a query. Parameters with other names, and invalid values, are ignored. */
export const pageOf = (listing: Listing, options: SandboxOptions, query: URLSearchParams): Page => {
  const [positionName, sizeName] = options.pagingNames
  const countsRecords = COUNTS_RECORDS.has(positionName)
  const requestedSize = wholeNumber(query.get(sizeName), 1) ?? options.defaultPageSize
  const size = Math.min(requestedSize, options.maxPageSize)
  const least = countsRecords ? 0 : options.firstPage
  const position = wholeNumber(query.get(positionName), least) ?? least
  const offset = countsRecords
    ? position
    : (position - least) * (options.offsetBy === "asked" ? requestedSize : size)
  const total = listing.total()
  const places = listing.places()
  const isBeyond = offset >= places && (offset > 0 || !LISTS_NONE.has(options.afterEnd))
  const lastOffset = Math.max(0, Math.floor((places - 1) / size) * size)
  const repeats = isBeyond && options.afterEnd === "repeat"
  return {
    number: Math.floor(offset / size) + 1,
    size,
    indices: listing.slice(repeats ? lastOffset : offset, size),
    total,
    isBeyond,
  }
}

const totalsText = ({ totals, totalSkew }: SandboxOptions, { number, size, total }: Page): string => {
  const stated = total + totalSkew
  const pages = Math.ceil(stated / size)
  switch (totals) {
    case "none":
      return ""
    case "total":
      return `,"total":${stated}`
    case "pagination":
      return `,"pagination":{"page":${number},"limit":${size},"total":${stated},"page_count":${pages}}`
    case "meta":
      return `,"meta":{"current_page":${number},"per_page":${size},"total":${stated},"last_page":${pages}}`
  }
}

/** Upstream's envelope (D), with a fixed id and time: the same request gives the same bytes. */
export const upstreamHead = (requestId: string, time: string, status: number, text: string): string =>
  `{"request_id":"${requestId}","request_time":"${time}","success":${status < 400},"status_code":${status},"status_text":"${text}"`

export interface Stamp {
  readonly requestId: string
  readonly time: string
}

/** Answers for a page beyond the end, by `afterEnd`. Other values are answered as a page or as an error. */
export const NOTHING_HERE: Readonly<Record<string, { readonly status: number; readonly body: string }>> = {
  "204": { status: 204, body: "" },
  "no-body": { status: 200, body: "" },
  "no-data": { status: 200, body: '{"status":true,"message":"OK"}' },
  "null-data": { status: 200, body: '{"status":true,"message":"OK","data":null}' },
  "status-false": { status: 200, body: '{"status":false,"message":"No data found"}' },
}

/** Statuses that refuse a page beyond the end, by `afterEnd`. */
export const REFUSALS: Readonly<Record<string, readonly [status: number, text: string]>> = {
  "400": [400, "Bad Request"],
  "404": [404, "Not Found"],
  "410": [410, "Gone"],
  "416": [416, "Range Not Satisfiable"],
  "422": [422, "Unprocessable Entity"],
}

/** The body of a list answer. Totals are beside the list, wherever the list is. */
export const listBody = (
  options: SandboxOptions,
  name: string,
  page: Page,
  records: ReadonlyArray<string>,
  { requestId, time }: Stamp,
): string => {
  const list = `[${records.join(",")}]`
  const totals = totalsText(options, page)
  const named = `{"${options.listName ?? name}":${list}${totals}}`
  const head = `{"status":true,"message":"OK","data":`
  const upstream = `${upstreamHead(requestId, time, 200, "OK")},"data":`
  switch (options.envelope) {
    case "data":
      return `${head}${list}${totals}}`
    case "data.data":
      return `${head}{"data":${list}${totals}}}`
    case "data.named":
      return `${head}${named}}`
    case "double":
      return `${head}${upstream}${list}${totals}}}`
    case "double.named":
      return `${head}${upstream}${named}}}`
  }
}

/** The body of a by-id answer in the single or the double envelope, both documented (D). */
export const recordBody = (options: SandboxOptions, record: string, { requestId, time }: Stamp): string =>
  options.detailEnvelope === "single"
    ? `{"status":true,"message":"OK","data":${record}}`
    : `{"status":true,"message":"OK","data":${upstreamHead(requestId, time, 200, "OK")},"data":${record}}}`

/** Upstream's error body (U). */
export const errorBody = (
  status: number,
  text: string,
  message: string,
  { requestId, time }: Stamp,
): string =>
  `${upstreamHead(requestId, time, status, text)},"error":${JSON.stringify({
    code: status,
    name: text.toUpperCase().replaceAll(" ", "_"),
    message: [message],
  })}}`
