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
 * postgres.js, made safe against connections that end in the middle of something. Five things that its 3.4 line
 * does then were seen, each held by a test:
 *
 * - A transaction that fails because its connection ended is rolled back on the connection that is gone: a
 *   `TypeError` that nobody can catch ends the process.
 * - A transaction's function goes on after that. Its next statements run on a connection that was made anew:
 *   outside of any transaction, each committed by itself.
 * - A statement that waited to be sent while its connection ended stays in front of all that the connection ever
 *   sends again, which nobody answers.
 * - Its `end` waits for the answer to a statement that was under way on a connection that is gone.
 * - It waits for ever on a connection that is silent (`silence.ts`).
 */

/**
 * How long statements may still reach a pool that lost a connection. Transactions that are under way then are waited for
 * while Postgres works on them: a connection also closes because it was idle, and the statement on the next one may take
 * minutes.
 */
const RETIRE_AFTER_MILLIS = 30_000

/** How long one host may take to connect, where neither the address nor the caller says. */
const CONNECT_TIMEOUT_SECONDS = 15

/** One of the driver's pools, and how much is under way on it. */
interface Connections {
  readonly driver: postgres.Sql
  readonly dialer: Dialer
  readonly watch: Watch
  underWay: number
  /** Its time to take statements is over. */
  isRetired: boolean
}

/** Counts work until it is settled. */
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
 * A statement that gets a transaction of its own when it is sent, for the sake of the path, and settles when that is
 * over. It counts from then on: one that is only made may never be sent.
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

/** Commands that a transaction cannot hold. They look up no operator and no function by its name. */
const sendAlone = new WeakMap<postgres.Sql, (command: string) => Promise<unknown>>()

/** Runs a command that cannot be part of a transaction, such as VACUUM, on a pool of `openPool`. */
export const outsideTransaction = (sql: postgres.Sql, command: string): Promise<unknown> =>
  sendAlone.get(sql)!(command)

/**
 * Looks with a connection of its own, each time a new one, within the time that connecting may take. Undefined where the
 * hosts take turns: another host would be asked than the one that is at work.
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
    // A server that refuses the question is there, and may be at work.
    const asked = beginOn(driver, "read only", tx => lookAt(tx, session, isLast)).catch(
      (error: unknown): Look => (error instanceof postgres.PostgresError ? "busy" : "unanswered"),
    )
    try {
      return await Promise.race([asked, late])
    } finally {
      clearTimeout(timer)
      close()
      void driver.end({ timeout: 0 })
    }
  }
}

/**
 * Connections to one Postgres. A transaction fails, and nothing else happens, when its connection is lost or silent. What is
 * asked after a loss goes to connections made anew; those of before are closed when nothing is under way on them any
 * more. `end({ timeout })` takes no longer than that, in seconds. Throws where the address is wrong, with words that are
 * the rest of a sentence about its variable.
 */
export const openPool = (
  url: string,
  { max, ...options }: DriverOptions,
  retireAfterMillis = RETIRE_AFTER_MILLIS,
): postgres.Sql => {
  const address = Either.getOrThrowWith(parseAddress(url), problem => new Error(problem))
  const timeoutSeconds = address.connectTimeoutSeconds ?? options.connect_timeout ?? CONNECT_TIMEOUT_SECONDS
  const choose = chooser(
    address,
    makeDial(address, readTlsFiles(address.tls), timeoutSeconds),
    timeoutSeconds,
  )
  const replaced = new Map<Connections, NodeJS.Timeout>()
  let isEnding = false
  const closeIdle = (connections: Connections) => {
    if (isEnding || !connections.isRetired || connections.underWay > 0) return
    replaced.delete(connections)
    connections.dialer.close()
    void connections.driver.end({ timeout: 0 })
  }
  /** Whatever is asked from now on gets connections made anew. */
  const replace = (lost: Connections) => {
    if (isEnding || lost !== current) return
    current = open()
    const retire = () => {
      lost.isRetired = true
      closeIdle(lost)
    }
    replaced.set(lost, setTimeout(retire, retireAfterMillis).unref())
  }
  const look = looker(address, choose, timeoutSeconds)
  const open = (): Connections => {
    const dialer = boundedDialer(choose, 2 * max)
    let openCount = 0
    const opened: Connections = {
      driver: openDriver(address, dialer.socket, {
        ...options,
        max,
        connect_timeout: timeoutSeconds,
        onclose: () => replace(opened),
      }),
      dialer,
      watch:
        look === undefined
          ? notWatched
          : watching({
              look,
              isFull: () => openCount >= max,
              onOpen: change => {
                openCount += change
              },
              onLost: () => replace(opened),
            }),
      underWay: 0,
      isRetired: false,
    }
    return opened
  }
  let current = open()

  const begin = <A>(first: string | Body<A>, second?: Body<A>) => {
    const on = current
    const [mode, body] = typeof first === "string" ? [first, second!] : ["", first]
    return counting(on, beginOn(on.driver, mode, body, on.watch), closeIdle)
  }
  const send = (name: "unsafe" | "file" | undefined, args: ReadonlyArray<unknown>) => {
    const on = current
    const made = Reflect.apply(name === undefined ? on.driver : on.driver[name], on.driver, args)
    return pinStatement(on, made, closeIdle)
  }
  const end = async (given?: { timeout?: number }): Promise<void> => {
    isEnding = true
    for (const timer of replaced.values()) clearTimeout(timer)
    await Promise.all(
      [current, ...replaced.keys()].map(async ({ dialer, driver, underWay }) => {
        await driver.end(underWay === 0 ? { timeout: 0 } : given)
        dialer.close()
      }),
    )
  }
  const pool = new Proxy((() => {}) as unknown as postgres.Sql, {
    apply: (_, _self, args) => send(undefined, args),
    get: (_, name) => {
      if (name === "begin") return begin
      if (name === "end") return end
      if (name === "unsafe" || name === "file") return (...args: ReadonlyArray<unknown>) => send(name, args)
      return Reflect.get(current.driver, name)
    },
  })
  sendAlone.set(pool, command => {
    const on = current
    return counting(on, on.driver.unsafe(command).execute(), closeIdle)
  })
  return pool
}
