import { connect, type Socket } from "node:net"

/** What of the driver's own options says where its server is. */
interface Address {
  readonly host: ReadonlyArray<string>
  readonly port: ReadonlyArray<number>
  /** A socket in the file system instead of a host. */
  readonly path?: string | false
}

/** The driver's `socket` option, and who tells it that the driver gets somewhere. */
interface Sockets {
  readonly socket: (address: Address) => Socket
  /** A statement succeeded or failed: what was tried before it was not in vain. */
  readonly settled: () => void
}

/**
 * Connections for a pool of this driver. Left to itself postgres.js 3.4 connects anew at once, again and again and
 * without an end, where a server takes a connection and closes it before anybody is logged in: a tunnel, a proxy or a
 * published port whose Postgres is away. Statements then neither fail nor end. Here the attempt after `attemptsMax` of
 * them, to each of its hosts, without a statement that settled is an error as any other that may pass. A pool that gets
 * somewhere needs one for each of its connections, and one for each request to cancel.
 */
export const boundedSockets = (attemptsMax: number): Sockets => {
  let made = 0
  let inVain = 0
  const socket = ({ host, port, path }: Address): Socket => {
    const at = made++ % port.length
    const place = { host: host[at]!, port: port[at]! }
    // The driver reads them off the socket: the one for TLS, both for its messages.
    const opened = Object.assign(typeof path === "string" ? connect(path) : connect(place), place)
    inVain += 1
    if (inVain > attemptsMax * host.length) {
      const error = new Error(
        `${place.host}:${place.port} closes each connection before anybody is logged in`,
      )
      // Later, when the driver listens.
      setImmediate(() => opened.destroy(Object.assign(error, { code: "ECONNRESET" })))
    }
    return opened
  }
  return {
    socket,
    settled: () => {
      inVain = 0
    },
  }
}
