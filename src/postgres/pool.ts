import type { Socket } from "node:net"
import { Either } from "effect"
import postgres from "postgres"
import { type Address, parseAddress } from "./address.ts"
import { type DriverOptions, openDriver } from "./driver.ts"
import { chooser, connectBoundSeconds } from "./route.ts"
import { type Look, lookAt, notWatched, type Session, type Watch, watching } from "./silence.ts"
import { boundedDialer, type Dialer, makeDial } from "./socket.ts"
import { readTlsFiles } from "./tls.ts"
import { type Body, beginOn, type Statement, sendWithin } from "./transaction.ts"

/**
 * Makes postgres.js safe against connections that end in the middle of something. Its 3.4 line has five faults then. A
 * test holds each of them:
 *
 * - A transaction that fails because its connection ended is rolled back on the connection that is gone. The
 *   `TypeError` cannot be caught, and ends the process.
 * - A transaction's function goes on after that. Its next statements run on a new connection, outside of any
 *   transaction, and each is committed by itself.
 * - A statement that waited to be sent while its connection ended stays in front of all later statements. They get no
 *   answer.
 * - `end` waits for the answer to a statement that was under way on a connection that is gone.
 * - The driver waits for ever on a silent connection (`silence.ts`).
 */

/**
 * How long a pool that lost a connection still takes statements. Transactions that are under way then may take any
 * time: a connection also closes because it was idle, and the statement on the next one may take minutes.
 */
const RETIRE_AFTER_MILLIS = 30_000

/** Longest time that one host may take to connect. The address or the caller may set another one. */
const CONNECT_TIMEOUT_SECONDS = 15

interface Connections {
  readonly driver: postgres.Sql
  readonly dialer: Dialer
  readonly watch: Watch
  underWay: number
  isRetired: boolean
}

const counting = <A>(on: Connections, work: Promise<A>, closeIdle: (on: Connections) => void): Promise<A> => {
  on.underWay += 1
  const done = () => {
    on.underWay -= 1
    on.dialer.settled()
    closeIdle(on)
  }
  // The driver's own `then` would send a statement once more.
  Promise.prototype.then.call(work, done, done)
  return work
}

/**
 * Gives a statement a transaction of its own when it is sent, which pins its search path. The statement settles with
 * the transaction. It counts as under way once it is sent: a statement that was only made may never be sent.
 */
const pinStatement = (on: Connections, made: unknown, closeIdle: (on: Connections) => void): unknown => {
  if (!(made instanceof Promise)) return made
  const statement = made as Statement
  const { handle, resolve, reject } = statement
  let isSent = false
  statement.handle = () => {
    if (isSent) return
    isSent = true
    const done = beginOn(on.driver, "", (tx, fate) => sendWithin(tx, fate, statement, handle), on.watch)
    counting(on, done, closeIdle)
    done.then(resolve, reject)
  }
  return statement
}

/** Senders of commands outside a transaction. Such commands look up no operator and no function by its name. */
const sendAlone = new WeakMap<postgres.Sql, (command: string) => Promise<unknown>>()

/** Runs a command that cannot be part of a transaction, such as VACUUM, on a pool of `openPool`. */
export const outsideTransaction = (sql: postgres.Sql, command: string): Promise<unknown> =>
  sendAlone.get(sql)!(command)

/**
 * Makes the function that looks at a session from a connection of its own: a new one each time, within the time that
 * connecting may take. Undefined if the hosts are shuffled: the connection could reach another host than the session's.
 */
const looker = (
  address: Address,
  choose: (signal: AbortSignal) => Promise<Socket>,
  timeoutSeconds: number,
): ((session: Session | undefined, isLast: boolean) => Promise<Look>) | undefined => {
  if (address.isShuffled && address.hosts.length > 1) return undefined
  const limitMillis = connectBoundSeconds(address, timeoutSeconds) * 1_000
  return async (session, isLast) => {
    const { socket, close } = boundedDialer(choose, 1)
    const driver = openDriver(address, socket, {
      max: 1,
      connect_timeout: timeoutSeconds,
      fetch_types: false,
      prepare: false,
      connection: { application_name: "paycombat-sync" },
      onnotice: () => {},
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<Look>(resolve => {
      timer = setTimeout(() => resolve("unanswered"), limitMillis)
    })
    // A server that refuses the query is there, and may be at work.
    const answer = beginOn(driver, "read only", tx => lookAt(tx, session, isLast)).catch(
      (error: unknown): Look => (error instanceof postgres.PostgresError ? "busy" : "unanswered"),
    )
    try {
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
      close()
      void driver.end({ timeout: 0 })
    }
  }
}

/** Makes the function that opens one of the driver's pools. `onLost` is called when one of its connections ends. */
const opener = (
  address: Address,
  { max, ...options }: DriverOptions,
): ((onLost: (lost: Connections) => void) => Connections) => {
  const timeoutSeconds = address.connectTimeoutSeconds ?? options.connect_timeout ?? CONNECT_TIMEOUT_SECONDS
  const dial = makeDial(address, readTlsFiles(address.tls), timeoutSeconds)
  const choose = chooser(address, dial, timeoutSeconds)
  const look = looker(address, choose, timeoutSeconds)
  return onLost => {
    const dialer = boundedDialer(choose, 2 * max)
    let openCount = 0
    const watch =
      look === undefined
        ? notWatched
        : watching({
            look,
            isFull: () => openCount >= max,
            onOpen: change => {
              openCount += change
            },
            onLost: () => onLost(opened),
          })
    const driver = openDriver(address, dialer.socket, {
      ...options,
      max,
      connect_timeout: timeoutSeconds,
      onclose: () => onLost(opened),
    })
    const opened: Connections = { driver, dialer, watch, underWay: 0, isRetired: false }
    return opened
  }
}

/** The driver's pool that takes statements, and those before it that lost a connection. */
const makeGenerations = (open: ReturnType<typeof opener>, retireAfterMillis: number) => {
  const replaced = new Map<Connections, NodeJS.Timeout>()
  let isEnding = false
  const closeIdle = (connections: Connections) => {
    if (isEnding || !connections.isRetired || connections.underWay > 0) return
    replaced.delete(connections)
    connections.dialer.close()
    void connections.driver.end({ timeout: 0 })
  }
  const replace = (lost: Connections) => {
    if (isEnding || lost !== current) return
    current = open(replace)
    const retire = () => {
      lost.isRetired = true
      closeIdle(lost)
    }
    replaced.set(lost, setTimeout(retire, retireAfterMillis).unref())
  }
  let current = open(replace)
  return {
    current: () => current,
    closeIdle,
    end: async (options?: { timeout?: number }) => {
      isEnding = true
      for (const timer of replaced.values()) clearTimeout(timer)
      await Promise.all(
        [current, ...replaced.keys()].map(async ({ dialer, driver, underWay }) => {
          await driver.end(underWay === 0 ? { timeout: 0 } : options)
          dialer.close()
        }),
      )
    },
  }
}

/**
 * Connections to one Postgres. A transaction fails, and nothing else happens, if its connection is lost or silent.
 * Statements after a loss get new connections. The earlier ones are closed when nothing is under way on them any more.
 * `end({ timeout })` takes no longer than that, in seconds. Throws if the address is wrong, with the rest of a sentence
 * that begins with its variable.
 */
export const openPool = (
  url: string,
  options: DriverOptions,
  retireAfterMillis = RETIRE_AFTER_MILLIS,
): postgres.Sql => {
  const address = Either.getOrThrowWith(parseAddress(url), problem => new Error(problem))
  const { current, closeIdle, end } = makeGenerations(opener(address, options), retireAfterMillis)
  const begin = <A>(first: string | Body<A>, second?: Body<A>) => {
    const on = current()
    const [mode, body] = typeof first === "string" ? [first, second!] : ["", first]
    return counting(on, beginOn(on.driver, mode, body, on.watch), closeIdle)
  }
  const send = (name: "unsafe" | "file" | undefined, args: ReadonlyArray<unknown>) => {
    const on = current()
    const made = Reflect.apply(name === undefined ? on.driver : on.driver[name], on.driver, args)
    return pinStatement(on, made, closeIdle)
  }
  const pool = new Proxy((() => {}) as unknown as postgres.Sql, {
    apply: (_, _self, args) => send(undefined, args),
    get: (_, name) => {
      if (name === "begin") return begin
      if (name === "end") return end
      if (name === "unsafe" || name === "file") return (...args: ReadonlyArray<unknown>) => send(name, args)
      return Reflect.get(current().driver, name)
    },
  })
  sendAlone.set(pool, command => {
    const on = current()
    return counting(on, on.driver.unsafe(command).execute(), closeIdle)
  })
  return pool
}
