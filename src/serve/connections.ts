import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Socket } from "node:net"

/** Creates an HTTP server that slow, silent or numerous clients cannot block for others. */

/** Most open connections. Each costs a descriptor; 1,024 is a usual limit of a process. */
export const CONNECTIONS_MAX = 256
const HEADERS_BYTES_MAX = 8 * 1_024
const HEADERS_TIMEOUT_MILLIS = 5_000
const REQUEST_TIMEOUT_MILLIS = 10_000
const IDLE_TIMEOUT_MILLIS = 20_000
const KEEP_ALIVE_MILLIS = 5_000
const CONNECTIONS_CHECKED_EVERY_MILLIS = 1_000
/** Requests that one connection may send. Further ones that it sent ahead get 503, which costs next to nothing. */
export const REQUESTS_PER_CONNECTION_MAX = 20

const oldest = (sockets: ReadonlySet<Socket>): Socket | undefined => sockets.values().next().value

/**
 * Closes a connection for each new one beyond `CONNECTIONS_MAX`: the one that has waited longest without a request, or
 * the one answered longest. `maxConnections` would let slow clients keep all others out.
 */
const makeRoom = (server: Server): void => {
  const waiting = new Set<Socket>()
  const answering = new Set<Socket>()
  server.on("connection", (socket: Socket) => {
    if (waiting.size + answering.size >= CONNECTIONS_MAX) {
      const victim = oldest(waiting) ?? oldest(answering)
      // The `close` event comes later; the connection must not count until then.
      if (victim !== undefined) {
        waiting.delete(victim)
        answering.delete(victim)
        victim.destroy()
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

/** Creates an HTTP server with bounds on connections, headers and times. It does not listen yet. */
export const boundedServer = (): Server => {
  const server = createServer({
    connectionsCheckingInterval: CONNECTIONS_CHECKED_EVERY_MILLIS,
    headersTimeout: HEADERS_TIMEOUT_MILLIS,
    keepAliveTimeout: KEEP_ALIVE_MILLIS,
    maxHeaderSize: HEADERS_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MILLIS,
  })
  server.timeout = IDLE_TIMEOUT_MILLIS
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX
  makeRoom(server)
  return server
}
