import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** A proxy as a company has one: it alone knows where the hosts are. */

/** A host that no name server knows: only the proxy leads to it. */
export const HIDDEN_HOST = "api.paycombat.test"

export interface TestProxy {
  readonly address: string
  /** Requests that it got: `CONNECT host:port`, or a whole address. */
  readonly asked: ReadonlyArray<string>
  /** Values of `Proxy-Authorization` that it got. */
  readonly authorizations: ReadonlyArray<string | undefined>
}

export const listening = (server: Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<number>(resolve => {
          server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
        }),
    ),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      }),
  )

/** A proxy that leads every request for `HIDDEN_HOST` to a port of this machine, and refuses all with `refusal`. */
export const startProxy = (port: number, refusal?: number): Effect.Effect<TestProxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const asked: Array<string> = []
    const authorizations: Array<string | undefined> = []
    const sockets = new Set<Socket>()
    const note = (what: string, { headers }: IncomingMessage) => {
      asked.push(what)
      authorizations.push(headers["proxy-authorization"])
    }
    const forward = (incoming: IncomingMessage, outgoing: ServerResponse) => {
      note(incoming.url ?? "", incoming)
      if (refusal !== undefined) return void outgoing.writeHead(refusal).end()
      const { pathname, search } = new URL(incoming.url ?? "")
      const { headers } = incoming
      const options = { host: "127.0.0.1", port, path: pathname + search, headers }
      request(options, answer => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      }).end()
    }
    const server = createServer(forward).on("connect", (incoming: IncomingMessage, socket: Socket) => {
      note(`CONNECT ${incoming.url}`, incoming)
      if (refusal !== undefined) return void socket.end(`HTTP/1.1 ${refusal} Refused\r\n\r\n`)
      const target = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
        target.pipe(socket).pipe(target)
      })
      for (const end of [socket, target]) {
        sockets.add(end)
        end.on("error", () => {})
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach(socket => void socket.destroy())))
    const proxyPort = yield* listening(server)
    return { address: `127.0.0.1:${proxyPort}`, asked, authorizations }
  })
