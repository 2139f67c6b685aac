import type { Socket } from "node:net"
import { Either } from "effect"
import postgres from "postgres"
import { type Address, type Host, parseAddress } from "./address.ts"
import type { SessionAttributes } from "./addressParameters.ts"
import { openDriver } from "./driver.ts"
import { sqlState } from "./failures.ts"
import { failure, placeOf } from "./place.ts"
import { boundedDialer, type Dial, notAnswered, stopped, type Way, waysTo } from "./socket.ts"

/**
 * Chooses the server of a connection as libpq does: the first host that lets this login in and has the wanted
 * attributes. The driver never reports an error of several hosts, so each way is first tried by itself.
 */

interface ServerState {
  readonly isStandby: boolean
  readonly isReadOnly: boolean
}

const FITS: Readonly<Record<SessionAttributes, (state: ServerState) => boolean>> = {
  any: () => true,
  "read-write": ({ isStandby, isReadOnly }) => !isStandby && !isReadOnly,
  "read-only": ({ isStandby, isReadOnly }) => isStandby || isReadOnly,
  primary: ({ isStandby }) => !isStandby,
  standby: ({ isStandby }) => isStandby,
  "prefer-standby": ({ isStandby }) => isStandby,
}

/** The server is starting. It is the only refusal of a login after which libpq tries the next host. */
const STARTING = "57P03"
/** No line of pg_hba.conf lets this login in this way. The other way, with or without TLS, may be open. */
const NOT_THIS_WAY = "28000"
const TLS_FAILURE = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO/

const codeOf = (error: unknown): string => sqlState(error) ?? ""

/** Logs in by one way, and reads the state of the server. Ends with `signal`, whatever the server does. */
const stateOf = async (
  address: Address,
  dial: Dial,
  way: Way,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<ServerState> => {
  const { socket, close } = boundedDialer(() => dial(way, signal), 1)
  const sql = openDriver(address, socket, {
    max: 1,
    connect_timeout: timeoutSeconds,
    fetch_types: false,
    prepare: false,
    connection: { application_name: "paycombat-sync" },
    onnotice: () => undefined,
  })
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(stopped())
  })
  signal.addEventListener("abort", stop)
  try {
    // Neither statement resolves a name by the search path.
    const answer = sql.unsafe(
      "SHOW transaction_read_only; SELECT pg_catalog.pg_is_in_recovery() AS is_standby",
    )
    const [[setting], [recovery]] = (await Promise.race([answer, aborted])) as unknown as [
      [{ transaction_read_only: string }],
      [{ is_standby: boolean }],
    ]
    return { isStandby: recovery.is_standby, isReadOnly: setting.transaction_read_only === "on" }
  } finally {
    signal.removeEventListener("abort", stop)
    close()
    void sql.end({ timeout: 0 })
  }
}

/** Does work with a signal that also aborts after so many seconds. It then fails as for a host that did not answer. */
const within = async <A>(
  seconds: number,
  host: Host,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<A>,
): Promise<A> => {
  const ending = new AbortController()
  const end = () => ending.abort()
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    end()
  }, seconds * 1_000)
  signal.addEventListener("abort", end)
  if (signal.aborted) end()
  try {
    return await work(ending.signal)
  } catch (error) {
    if (isLate && !signal.aborted) throw notAnswered(host, seconds)
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", end)
  }
}

/** Longest time to a connection or an error, in seconds: the bound of one host times the hosts, twice for prefer-standby. */
export const connectBoundSeconds = ({ hosts, sessionAttributes }: Address, timeoutSeconds: number): number =>
  hosts.length * timeoutSeconds * (sessionAttributes === "prefer-standby" ? 2 : 1)

/** The same for an address as it is written. `timeoutSeconds` is the bound of one host, if the address names none. */
export const boundOf = (url: string, timeoutSeconds: number): number => {
  const address = Either.getOrThrowWith(parseAddress(url), problem => new Error(problem))
  return connectBoundSeconds(address, address.connectTimeoutSeconds ?? timeoutSeconds)
}

const shuffled = <A>(given: ReadonlyArray<A>): ReadonlyArray<A> =>
  given
    .map(value => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

/** Makes one error of those of all hosts: with the code of the last, and the words of each. */
const summary = (errors: ReadonlyArray<unknown>): unknown =>
  errors.length < 2
    ? errors[0]
    : failure(
        errors
          .map(error => (error instanceof Error ? error.message || codeOf(error) : String(error)))
          .join("; "),
        codeOf(errors.at(-1)),
      )

/** Chooses a server for each connection. Fails within the bound of one host, `timeoutSeconds`, times the hosts. */
export const chooser = (address: Address, dial: Dial, timeoutSeconds: number) => {
  const { hosts, isShuffled, sessionAttributes, tls } = address
  const isChoosing = hosts.length > 1 || sessionAttributes !== "any" || tls.mode === "allow"
  /** Hosts that let this login in with TLS. With `prefer` they need not be tried again. */
  const encrypted = new Set<Host>()

  const dialHost = async (host: Host, wanted: SessionAttributes, signal: AbortSignal): Promise<Socket> => {
    const ways = waysTo(host, tls.mode)
    for (const [index, way] of ways.entries()) {
      try {
        const isUnsure = tls.mode === "prefer" && way.isEncrypted && !encrypted.has(host)
        if (isChoosing || isUnsure) {
          const state = await stateOf(address, dial, way, timeoutSeconds, signal)
          if (!FITS[wanted](state))
            throw failure(`${placeOf(host)} is not ${wanted}, as target_session_attrs asks`, "CONNECT_UNFIT")
          if (way.isEncrypted) encrypted.add(host)
        }
        return await dial(way, signal)
      } catch (error) {
        const isOtherWayOpen = codeOf(error) === NOT_THIS_WAY || TLS_FAILURE.test(codeOf(error))
        if (index === ways.length - 1 || !isOtherWayOpen) throw error
      }
    }
    throw failure(`There is no way to ${placeOf(host)}`, "ECONNREFUSED")
  }

  return async (signal: AbortSignal): Promise<Socket> => {
    const errors: Array<unknown> = []
    const passes: ReadonlyArray<SessionAttributes> =
      sessionAttributes === "prefer-standby" ? ["standby", "any"] : [sessionAttributes]
    for (const wanted of passes) {
      errors.length = 0
      for (const host of isShuffled ? shuffled(hosts) : hosts) {
        try {
          return await within(timeoutSeconds, host, signal, inTime => dialHost(host, wanted, inTime))
        } catch (error) {
          const isFinal = error instanceof postgres.PostgresError && error.code !== STARTING
          if (isFinal || signal.aborted) throw error
          errors.push(error)
        }
      }
    }
    throw summary(errors)
  }
}
