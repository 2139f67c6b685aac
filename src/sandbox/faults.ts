import { hash, KIND, lane } from "./random.ts"

/** A request as a fault hook sees it, before it is answered. */
export interface FaultRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** From 1, over all requests. */
  readonly n: number
  /** From 1, over the requests of this path. */
  readonly nth: number
}

/** What happens to a request instead of, or before, its answer. */
export interface Fault {
  /** Answers with this status; 200 where only a body is given. */
  readonly status?: number
  /** Text as it is; anything else as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Waits first. Alone, the true answer follows. */
  readonly delayMillis?: number
  /** Changes the body of the true answer. */
  readonly transform?: (body: string) => string
  /** Sends the head and half the body of the true answer, then breaks the connection. */
  readonly cut?: boolean
  /** Never answers. */
  readonly hang?: boolean
  /** Breaks the connection. */
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

/** The faults known by name, as `paycombat-sync sandbox` offers them. */
export const FAULTS = {
  /** 429 with a `Retry-After` of one second. */
  "rate-limit": error(429, "TOO_MANY_REQUESTS", { "retry-after": "1" }),
  "server-error": error(500, "INTERNAL_SERVER_ERROR"),
  unavailable: error(503, "SERVICE_UNAVAILABLE"),
  /** A 200 that is a web page: what a proxy or a login wall sends. */
  html: {
    status: 200,
    headers: { "content-type": "text/html" },
    body: "<!doctype html><title>Just a moment…</title>",
  },
  /** A 200 whose JSON ends in the middle. */
  truncated: { transform: body => body.slice(0, Math.floor(body.length / 2)) },
  /** A 200 whose envelope says that it failed. */
  "status-false": { body: { status: false, message: "Something went wrong", data: null } },
  slow: { delayMillis: 2_000 },
  cut: { cut: true },
  hang: { hang: true },
  reset: { reset: true },
} as const satisfies Readonly<Record<string, Fault>>

export type FaultName = keyof typeof FAULTS

/** In a row and for one URL: fewer than any client that retries at all gives up after. */
const FAULTS_IN_A_ROW_MAX = 2

/** URLs whose latest faults are remembered. */
const URLS_MAX = 1_000

/**
 * Faults by chance, the same for the same seed and order of requests. `chances` are probabilities from 0
 * to 1 by name. No URL gets more than two faults in a row, so that a client that retries gets through.
 */
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

/** Answers 429 with `Retry-After` to whatever exceeds `perSecond` requests in a second of the wall clock. */
export const rateLimit = (perSecond: number): FaultHook => {
  let second = 0
  let requests = 0
  return () => {
    const now = Math.floor(Date.now() / 1_000)
    requests = now === second ? requests + 1 : 1
    second = now
    return requests > perSecond ? FAULTS["rate-limit"] : undefined
  }
}
