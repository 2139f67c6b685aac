import type { Socket } from "node:net"
import postgres from "postgres"
import type { Address, Host } from "./address.ts"
import type { SessionAttributes } from "./addressParameters.ts"
import { openDriver } from "./driver.ts"
import { failure, placeOf } from "./place.ts"
import { boundedDialer, type Dial, type Way, waysTo } from "./socket.ts"

/**
 * Which server a connection goes to, as libpq chooses: the hosts in their order, the first one that lets this login in and
 * has the wanted attributes. The driver cannot: with several hosts it never tells an error, and it checks no attribute but
 * by ending the statement. So each way is tried with a connection of its own first, where there is anything to choose.
 */

/** What a server is, as far as `target_session_attrs` asks. */
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

/** The server is up, and lets no one in yet: the only refusal of a login after which libpq tries the next host. */
const STARTING = "57P03"
/** No line of pg_hba.conf lets this login in by this way: the other way, with or without TLS, may. */
const NOT_THIS_WAY = "28000"
const TLS_FAILURE = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO/

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : ""

/** Logs in by one way, and asks what the server is. */
const stateOf = async (
  address: Address,
  dial: Dial,
  way: Way,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<ServerState> => {
  const { socket } = boundedDialer(() => dial(way, signal), 1)
  const sql = openDriver(address, socket, {
    max: 1,
    connect_timeout: timeoutSeconds,
    fetch_types: false,
    prepare: false,
    connection: { application_name: "paycombat-sync" },
    onnotice: () => undefined,
  })
  const close = () => sql.end({ timeout: 0 })
  signal.addEventListener("abort", close)
  try {
    // Both resolve nothing by the search path.
    const [[setting], [recovery]] = (await sql.unsafe(
      "SHOW transaction_read_only; SELECT pg_catalog.pg_is_in_recovery() AS is_standby",
    )) as unknown as [[{ transaction_read_only: string }], [{ is_standby: boolean }]]
    return { isStandby: recovery.is_standby, isReadOnly: setting.transaction_read_only === "on" }
  } finally {
    signal.removeEventListener("abort", close)
    await close()
  }
}

const shuffled = <A>(given: ReadonlyArray<A>): ReadonlyArray<A> =>
  given
    .map(value => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

/** One error for all hosts: with the code of the last, and the words of each. */
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

  const dialHost = async (host: Host, wanted: SessionAttributes, signal: AbortSignal): Promise<Socket> => {
    const ways = waysTo(host, tls.mode)
    for (const [index, way] of ways.entries()) {
      try {
        if (isChoosing && !FITS[wanted](await stateOf(address, dial, way, timeoutSeconds, signal)))
          throw failure(`${placeOf(host)} is not ${wanted}, as target_session_attrs asks`, "CONNECT_UNFIT")
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
          return await dialHost(host, wanted, signal)
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
