import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Socket } from "node:net"

/** An HTTP server that slow, silent and numerous clients cannot take from the others. */

/** Connections that are open at once. Each costs a descriptor; 1,024 are a usual limit of a process. */
export const CONNECTIONS_MAX = 256
const HEADERS_BYTES_MAX = 8 * 1_024
const HEADERS_TIMEOUT_MILLIS = 5_000
const REQUEST_TIMEOUT_MILLIS = 10_000
const IDLE_TIMEOUT_MILLIS = 20_000
const KEEP_ALIVE_MILLIS = 5_000
const CONNECTIONS_CHECKED_EVERY_MILLIS = 1_000

const oldest = (sockets: ReadonlySet<Socket>): Socket | undefined => sockets.values().next().value

/**
 * Makes room for each new connection, where `CONNECTIONS_MAX` are open, by closing the one that has gone longest without
 * a whole request; where all are being answered, the one that has been answered longest. Node's own `maxConnections`
 * would refuse the new one instead, so that clients who send a byte a second keep everybody else out.
 */
const makeRoom = (server: Server): void => {
  const waiting = new Set<Socket>()
  const answering = new Set<Socket>()
  server.on("connection", (socket: Socket) => {
    if (waiting.size + answering.size >= CONNECTIONS_MAX) {
      const given = oldest(waiting) ?? oldest(answering)
      // Its `close` comes later, and must not count until then.
      if (given !== undefined) {
        waiting.delete(given)
        answering.delete(given)
        given.destroy()
      }
    }
    waiting.add(socket)
    socket.once("close", () => {
      waiting.delete(socket)
      answering.delete(socket)
    })
  })
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    waiting.delete(socket)
    answering.add(socket)
    response.once("close", () => {
      answering.delete(socket)
      if (!socket.destroyed) waiting.add(socket)
    })
  })
}

/** An HTTP server with bounds on connections, headers and times, not yet listening. */
export const boundedServer = (): Server => {
  const server = createServer({
    connectionsCheckingInterval: CONNECTIONS_CHECKED_EVERY_MILLIS,
    headersTimeout: HEADERS_TIMEOUT_MILLIS,
    keepAliveTimeout: KEEP_ALIVE_MILLIS,
    maxHeaderSize: HEADERS_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MILLIS,
  })
  server.timeout = IDLE_TIMEOUT_MILLIS
  makeRoom(server)
  return server
}
