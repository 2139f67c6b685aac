import { connect, type Socket } from "node:net"

/** What of the driver's own options says where its server is. */
interface Address {
  readonly host: ReadonlyArray<string>
  readonly port: ReadonlyArray<number>
  /** A socket in the file system instead of a host. */
  readonly path?: string | false
}

/** A request to cancel a statement, which no server answers: it closes the connection, and that is all. */
const CANCEL_REQUEST_BYTES = 16

/**
 * The driver's `socket` option. Left to itself postgres.js 3.4 connects anew at once, again and again and without an
 * end, where something takes the connection and closes it before it says a word: a tunnel, a proxy or a published port
 * whose Postgres is away. Statements then neither fail nor end. Here that is an error as any other that may pass.
 */
export const answeringSocket = () => {
  let attempts = 0
  return ({ host, port, path }: Address): Socket => {
    const at = attempts++ % port.length
    const place = { host: host[at]!, port: port[at]! }
    // The driver reads them off the socket: the one for TLS, both for its messages.
    const socket = Object.assign(typeof path === "string" ? connect(path) : connect(place), place)
    let isAnswered = false
    socket.once("data", () => {
      isAnswered = true
    })
    socket.once("end", () => {
      if (isAnswered || socket.bytesWritten === CANCEL_REQUEST_BYTES) return
      const error = new Error(`${place.host}:${place.port} closed the connection before it answered`)
      socket.destroy(Object.assign(error, { code: "ECONNRESET" }))
    })
    return socket
  }
}
