import { connect, type Socket } from "node:net"
import { Redacted } from "effect"
import { authenticator, framer, startup, typeOf } from "./postgresWire.ts"

/** The server side of a transaction-pooling proxy: few connections, lent to clients with a transaction. */

export interface Server {
  readonly socket: Socket
  /** Parameters that the server sent at the login. A client gets the same. */
  readonly parameters: ReadonlyArray<Buffer>
  /** The client that has it now. */
  borrower: Borrower | undefined
}

export interface Borrower {
  readonly lend: (server: Server) => void
  readonly answer: (frame: Buffer) => void
  /** The server is gone, or never let us in (then with its words). */
  readonly refuse: (words?: Buffer) => void
}

export interface Pool {
  readonly borrow: (borrower: Borrower) => void
  readonly giveBack: (server: Server) => void
  readonly close: () => void
}

/** A pool of one login. Its connections go round, so that hardly two transactions of a client meet the same one. */
export const makePool = (login: Redacted.Redacted, size: number): Pool => {
  const { hostname, port, username, password, pathname } = new URL(Redacted.value(login))
  const all = new Set<Server>()
  const idle: Array<Server> = []
  const waiting: Array<Borrower> = []

  const lend = (server: Server, borrower: Borrower) => {
    server.borrower = borrower
    borrower.lend(server)
  }
  const giveBack = (server: Server) => {
    server.borrower = undefined
    if (!all.has(server)) return
    const next = waiting.shift()
    if (next === undefined) idle.push(server)
    else lend(server, next)
  }
  const open = (first: Borrower) => {
    const parameters: Array<Buffer> = []
    const server: Server = { socket: connect(Number(port), hostname), parameters, borrower: first }
    all.add(server)
    let isIn = false
    const authenticate = authenticator(decodeURIComponent(password))
    const take = framer(
      () => true,
      frame => {
        if (isIn) return server.borrower?.answer(frame)
        const type = typeOf(frame)
        if (type === "R") {
          const reply = authenticate(frame)
          if (reply !== undefined) server.socket.write(reply)
        } else if (type === "S") parameters.push(frame)
        else if (type === "E") server.borrower?.refuse(frame)
        else if (type === "Z") {
          isIn = true
          if (server.borrower === undefined) giveBack(server)
          else lend(server, server.borrower)
        }
      },
    )
    server.socket.setNoDelay(true)
    server.socket.on("connect", () =>
      server.socket.write(startup(decodeURIComponent(username), pathname.slice(1))),
    )
    server.socket.on("data", take)
    server.socket.on("error", () => {})
    server.socket.on("close", () => {
      all.delete(server)
      if (idle.includes(server)) idle.splice(idle.indexOf(server), 1)
      server.borrower?.refuse()
      const next = waiting.shift()
      if (next !== undefined) open(next)
    })
  }
  return {
    borrow: borrower => {
      const server = idle.shift()
      if (server !== undefined) lend(server, borrower)
      else if (all.size < size) open(borrower)
      else waiting.push(borrower)
    },
    giveBack,
    close: () => {
      waiting.length = 0
      for (const { socket } of all) socket.destroy()
    },
  }
}
