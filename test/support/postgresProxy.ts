import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { Effect, Redacted, type Scope } from "effect"
import { makePool, type Pool, type Server } from "./postgresPool.ts"
import { type CommitFault, type CommitPoint, makeSession, type Watch } from "./postgresSession.ts"
import {
  CANCEL_REQUEST,
  framer,
  int32,
  message,
  parametersOf,
  SSL_REQUEST,
  sqlOf,
  typeOf,
} from "./postgresWire.ts"

/**
 * A proxy before a Postgres that sees where transactions end, and can make something happen right there; or that
 * pools by transaction, as PgBouncer does, but with less mercy: no setting of a client's start-up is kept.
 */

export interface PostgresProxy {
  /** The address that leads to the same database through the proxy. */
  readonly through: (url: Redacted.Redacted) => Redacted.Redacted
  /** Commit points that were seen. */
  readonly commits: ReadonlyArray<CommitPoint>
  /** Begins to count anew. */
  readonly recount: () => void
  readonly setFault: (hook: ((point: CommitPoint) => CommitFault | undefined) | null) => void
  /** Cuts every connection there is now, and says how many. */
  readonly cut: () => number
  /** Lets nothing through, in either direction, until told otherwise; keeps connections. */
  readonly hang: (isHanging: boolean) => void
  /**
   * Falls silent as soon as such a statement is on its way: passes nothing on any more, and closes nothing. `present` leaves
   * the connections alone that are made later. The effect ends when it has happened. Not for one that pools.
   */
  readonly silenceAt: (statement: RegExp, which: "all" | "present") => Effect.Effect<void>
  /** Refuses new connections, as a server that is not there; those there are go on. */
  readonly refuse: (isRefusing: boolean) => void
  /**
   * Waits until Postgres has ended every session that it had through here: a client that was killed may have left
   * statements behind that Postgres is only about to read. Not for one that pools.
   */
  readonly ended: Effect.Effect<void>
}

export interface ProxyOptions {
  /** Pools by transaction: connections at most per login, and the logins that clients may ask for. */
  readonly pool?: { readonly size: number; readonly logins: ReadonlyArray<Redacted.Redacted> }
}

interface Shared extends Watch {
  readonly target: { readonly host: string; readonly port: number }
  readonly clients: Set<Socket>
  readonly servers: Set<Socket>
  readonly poolOf: ((login: string) => Pool | undefined) | undefined
  isHanging: boolean
  /** Told of each statement, before it is passed on. */
  onStatement: ((sql: string) => void) | null
}

const loginOf = (user = "", database = user) => `${user}@${database}`

/** A client with a server of its own. */
const direct = (shared: Shared, client: Socket) => {
  const server = connect(shared.target.port, shared.target.host)
  const session = makeSession(shared, client, false)
  shared.servers.add(server)
  server.setNoDelay(true)
  server.on("error", () => {})
  server.on("close", () => {
    shared.servers.delete(server)
    client.destroy()
  })
  // Postgres must read the bytes that the client sent, whatever became of the client since.
  client.on("close", () => server.end())
  server.on(
    "data",
    framer(() => true, session.answered),
  )
  return (frame: Buffer, isIn: boolean) => {
    const type = typeOf(frame)
    if (isIn && (type === "P" || type === "Q")) shared.onStatement?.(sqlOf(frame))
    if (client.isPaused()) return
    // Neither the first message nor those about the password are statements.
    if (!isIn || type === "p" || session.asked(frame)) server.write(frame)
  }
}

/** A client that is lent a server for each transaction. */
const pooled = (shared: Shared, client: Socket) => {
  const session = makeSession(shared, client, true)
  const backlog: Array<Buffer> = []
  let pool: Pool | undefined
  let server: Server | undefined
  let isAsking = false

  const giveBack = () => {
    const lent = server
    server = undefined
    if (lent !== undefined) pool!.giveBack(lent)
  }
  const borrow = () => {
    if (server !== undefined || isAsking) return
    isAsking = true
    pool!.borrow({
      lend: lent => {
        isAsking = false
        server = lent
        if (client.destroyed) return giveBack()
        for (const frame of backlog.splice(0)) lent.socket.write(frame)
        if (session.isIdle) giveBack()
      },
      answer: frame => {
        session.answered(frame)
        if (session.isIdle) giveBack()
      },
      refuse: words => {
        server = undefined
        if (words !== undefined) client.write(words)
        client.destroy()
      },
    })
  }
  // In the middle of a transaction, so no other client may get its rest.
  client.on("close", () => server?.socket.destroy())

  const letIn = (parameters: ReadonlyArray<Buffer>) =>
    client.write(
      Buffer.concat([
        message("R", int32(0)),
        ...parameters,
        message("K", int32(1), int32(1)),
        message("Z", "I"),
      ]),
    )
  const enter = (frame: Buffer) => {
    const given = parametersOf(frame)
    pool = shared.poolOf!(loginOf(given.get("user"), given.get("database")))
    if (pool === undefined) return void client.destroy()
    pool.borrow({
      lend: lent => {
        letIn(lent.parameters)
        pool!.giveBack(lent)
      },
      answer: () => {},
      refuse: words => {
        if (words !== undefined) client.write(words)
        client.destroy()
      },
    })
  }
  return (frame: Buffer, isIn: boolean) => {
    if (!isIn) return enter(frame)
    if (typeOf(frame) === "X" || !session.asked(frame)) return
    if (server !== undefined) server.socket.write(frame)
    else {
      backlog.push(frame)
      borrow()
    }
  }
}

const serve = (shared: Shared, client: Socket): void => {
  shared.clients.add(client)
  client.setNoDelay(true)
  client.on("error", () => {})
  client.on("close", () => shared.clients.delete(client))
  if (shared.isHanging) client.pause()
  let isIn = false
  let pass: ((frame: Buffer, isIn: boolean) => void) | undefined
  const take = framer(
    () => isIn,
    frame => {
      if (isIn) return pass!(frame, true)
      const code = frame.readInt32BE(4)
      if (code === SSL_REQUEST) return void client.write("N")
      if (code === CANCEL_REQUEST) {
        if (shared.poolOf === undefined) connect(shared.target.port, shared.target.host).end(frame)
        return void client.end()
      }
      pass = shared.poolOf === undefined ? direct(shared, client) : pooled(shared, client)
      pass(frame, false)
      isIn = true
    },
  )
  client.on("data", take)
}

/** Starts a proxy before the server of this address; it is gone, with every connection, when the scope closes. */
export const postgresProxy = (
  url: Redacted.Redacted,
  options: ProxyOptions = {},
): Effect.Effect<PostgresProxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { hostname: host, port } = new URL(Redacted.value(url))
    const pools = new Map(
      options.pool?.logins.map(login => {
        const { username, pathname } = new URL(Redacted.value(login))
        return [loginOf(decodeURIComponent(username), pathname.slice(1)), makePool(login, options.pool!.size)]
      }),
    )
    const shared: Shared = {
      target: { host, port: Number(port) },
      clients: new Set(),
      servers: new Set(),
      poolOf: options.pool === undefined ? undefined : login => pools.get(login),
      commits: [],
      hook: null,
      isHanging: false,
      onStatement: null,
    }
    let isRefusing = false
    const listener = createServer(client => (isRefusing ? client.resetAndDestroy() : serve(shared, client)))
    const cut = () => {
      const { size } = shared.clients
      for (const client of shared.clients) client.destroy()
      return size
    }
    const ownPort = yield* Effect.acquireRelease(
      Effect.async<number>(resume => {
        listener.listen(0, "127.0.0.1", () =>
          resume(Effect.succeed((listener.address() as AddressInfo).port)),
        )
      }),
      () =>
        Effect.async<void>(resume => {
          listener.close(() => resume(Effect.void))
          cut()
          for (const pool of pools.values()) pool.close()
        }),
    )
    const hang = (isHanging: boolean) => {
      shared.isHanging = isHanging
      for (const client of shared.clients) isHanging ? client.pause() : client.resume()
    }
    return {
      through: given => {
        const own = new URL(Redacted.value(given))
        own.host = `127.0.0.1:${ownPort}`
        return Redacted.make(own.href)
      },
      get commits() {
        return shared.commits
      },
      recount: () => {
        shared.commits = []
      },
      setFault: hook => {
        shared.hook = hook
      },
      cut,
      hang,
      silenceAt: (statement, which) =>
        Effect.async<void>(resume => {
          shared.onStatement = sql => {
            if (!statement.test(sql)) return
            shared.onStatement = null
            hang(true)
            shared.isHanging = which === "all"
            resume(Effect.void)
          }
        }),
      refuse: given => {
        isRefusing = given
      },
      ended: Effect.sync(() => shared.servers.size === 0).pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: isOver => isOver }),
        Effect.timeout("1 minute"),
        Effect.orDie,
      ),
    }
  })
