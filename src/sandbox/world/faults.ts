import { gzipSync } from "node:zlib"
import { hash, KIND, lane } from "./random.ts"

export interface FaultRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Number of the request, from 1, among all requests. */
  readonly n: number
  /** Number of the request, from 1, among the requests of this path. */
  readonly nth: number
}

export interface Fault {
  /** Status of the answer; 200 if only a body is given. */
  readonly status?: number
  /** Text is sent unchanged, anything else as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Waits first. By itself, the true answer follows. */
  readonly delayMillis?: number
  readonly transform?: (body: string) => string
  /** Sends the body of the answer as these bytes instead of as UTF-8. */
  readonly encode?: (body: string) => Buffer
  /** Sends these pieces as the body, as fast as the client reads. */
  readonly chunks?: () => Iterator<Uint8Array>
  /** Sends the body byte by byte with this delay. */
  readonly dripMillis?: number
  /** Answers with the first page of the list, or with another record than requested. */
  readonly mistakes?: "page" | "record"
  /** Sends the head and half the body of the true answer, then breaks the connection. */
  readonly cut?: boolean
  readonly hang?: boolean
  readonly reset?: boolean
}

export type FaultHook = (request: FaultRequest) => Fault | undefined

const error = (status: number, name: string, headers: Readonly<Record<string, string>> = {}): Fault => ({
  status,
  headers,
  body: {
    success: false,
    status_code: status,
    status_text: name,
    error: { code: status, name, message: name },
  },
})

const MEBIBYTE = 2 ** 20
/** More than any client should read. A page of 1,000 records is about 1 MiB. */
const GIGANTIC_MEBIBYTES = 1_024

const OPEN = Buffer.from('{"status":true,"message":"OK","data":[')
const CLOSE = Buffer.from("]}")

function* gigantic(pack: (bytes: Buffer) => Uint8Array): Generator<Uint8Array> {
  const filler = pack(Buffer.alloc(MEBIBYTE, " "))
  yield pack(OPEN)
  for (let n = 0; n < GIGANTIC_MEBIBYTES; n++) yield filler
  yield pack(CLOSE)
}

const limited = (retryAfter: string) => error(429, "TOO_MANY_REQUESTS", { "retry-after": retryAfter })

/** The faults by their names in `paycombat-sync sandbox`. */
export const FAULTS = {
  /** 429 with a `Retry-After` of one second. */
  "rate-limit": error(429, "TOO_MANY_REQUESTS", { "retry-after": "1" }),
  "server-error": error(500, "INTERNAL_SERVER_ERROR"),
  unavailable: error(503, "SERVICE_UNAVAILABLE"),
  /** A 200 with a web page, as from a proxy or a login wall. */
  html: {
    status: 200,
    headers: { "content-type": "text/html" },
    body: "<!doctype html><title>Just a moment…</title>",
  },
  /** A 200 whose JSON ends in the middle. */
  truncated: { transform: body => body.slice(0, Math.floor(body.length / 2)) },
  "status-false": { body: { status: false, message: "Something went wrong", data: null } },
  slow: { delayMillis: 2_000 },
  cut: { cut: true },
  hang: { hang: true },
  reset: { reset: true },

  /** 429 without a time for the next request, and 429 with a time that is invalid. */
  "rate-limit-bare": error(429, "TOO_MANY_REQUESTS"),
  "retry-after-negative": limited("-30"),
  "retry-after-text": limited("soon 2099"),
  "retry-after-past": limited("Sat, 01 Jan 2000 00:00:00 GMT"),
  "retry-after-hour": limited("3600"),
  "retry-after-huge": limited("99999999999999999999"),
  unauthorized: error(401, "UNAUTHORIZED"),
  forbidden: error(403, "FORBIDDEN"),
  "bad-gateway": {
    status: 502,
    headers: { "content-type": "text/html" },
    body: "<html><h1>502 Bad Gateway</h1></html>",
  },
  redirect: { status: 302, headers: { location: "/login" }, body: "" },
  empty: { body: "" },
  "empty-list": { body: { status: true, message: "OK", data: [] } },
  /** No content, in the words of some APIs for the end of a list. */
  "no-content": { status: 204, body: "" },
  "not-found": error(404, "NOT_FOUND"),
  "no-data": { body: { status: true, message: "OK" } },
  "nothing-found": { body: { status: false, message: "No data found", data: null } },
  "failed-envelope": {
    body: { status: false, message: "Failed", error: { code: 4001, name: "INTERNAL" }, data: null },
  },
  /** One gibibyte of JSON, and the same compressed to one mebibyte. */
  gigantic: { chunks: () => gigantic(bytes => bytes) },
  "gzip-bomb": { headers: { "content-encoding": "gzip" }, chunks: () => gigantic(bytes => gzipSync(bytes)) },
  /** The true answer, one byte a second: it never ends. */
  drip: { dripMillis: 1_000 },
  /** The true answer in other forms; all but the last two can be read. */
  "html-type": { headers: { "content-type": "text/html; charset=iso-8859-1" } },
  bom: { transform: body => `\ufeff${body}` },
  gzip: { headers: { "content-encoding": "gzip" }, encode: body => gzipSync(body) },
  "utf-16": { encode: body => Buffer.from(`\ufeff${body}`, "utf16le") },
  "not-utf-8": { encode: body => Buffer.concat([Buffer.from(body), Buffer.of(0xe9)]) },
  /** The true answer with a clock of the past or the future. */
  "clock-behind": { headers: { date: "Sat, 01 Jan 2000 00:00:00 GMT" } },
  "clock-ahead": { headers: { date: "Fri, 01 Jan 2100 00:00:00 GMT" } },
  "first-page": { mistakes: "page" },
  /** The by-id answer of another record, readiness included. */
  "other-record": { mistakes: "record" },
  "other-merchant": {
    transform: body => body.replace(/"(org_id|merchant_id)":"[^"]*"/g, '"$1":"another-merchant"'),
  },
} as const satisfies Readonly<Record<string, Fault>>

export type FaultName = keyof typeof FAULTS

/** Most faults in a row for one URL: fewer than a client that retries gives up after. */
const FAULTS_IN_A_ROW_MAX = 2

/** Most URLs whose latest faults are remembered. */
const URLS_MAX = 1_000

/** Random faults, the same for a seed and order of requests. `chances` are probabilities by name. At most two in a row. */
export const seededFaults = (
  seed: number,
  chances: Partial<Readonly<Record<FaultName, number>>>,
): FaultHook => {
  const inARow = new Map<string, number>()
  const names = Object.keys(FAULTS) as ReadonlyArray<FaultName>
  return ({ path, query, n }) => {
    const url = `${path}?${query}`
    const before = inARow.get(url) ?? 0
    if (inARow.size > URLS_MAX) inARow.clear()
    let chance = lane(hash(seed, KIND.fault, n), 0) / 0x1_0000_0000
    const name = names.find(candidate => {
      chance -= chances[candidate] ?? 0
      return chance < 0
    })
    const isFault = name !== undefined && before < FAULTS_IN_A_ROW_MAX
    if (!isFault) inARow.delete(url)
    else inARow.set(url, before + 1)
    return isFault ? FAULTS[name] : undefined
  }
}
