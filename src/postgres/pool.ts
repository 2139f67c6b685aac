import { Either } from "effect"
import postgres from "postgres"
import { parseAddress } from "./address.ts"
import { type DriverOptions, openDriver } from "./driver.ts"
import { PIN } from "./pin.ts"
import { chooser } from "./route.ts"
import { boundedDialer, type Dialer, makeDial } from "./socket.ts"
import { readTlsFiles } from "./tls.ts"

/**
 * postgres.js, made safe against connections that end in the middle of something. Four things that its 3.4 line
 * does then were seen, each held by a test:
 *
 * - A transaction that fails because its connection ended is rolled back on the connection that is gone: a
 *   `TypeError` that nobody can catch ends the process.
 * - A transaction's function goes on after that. Its next statements run on a connection that was made anew:
 *   outside of any transaction, each committed by itself.
 * - A statement that waited to be sent while its connection ended stays in front of all that the connection ever
 *   sends again, which nobody answers.
 * - Its `end` waits for the answer to a statement that was under way on a connection that is gone.
 */

/**
 * How long statements may still reach a pool that lost a connection. What is under way then is waited for without a
 * limit: a connection also closes because it was idle, and the statement on the next one may take minutes.
 */
const RETIRE_AFTER_MILLIS = 30_000

/** Codes of an error that no server sent: the connection is gone, or never was. */
const LOST = /^(CONNECTION_(CLOSED|DESTROYED|ENDED)|CONNECT_TIMEOUT|E[A-Z]+)$/
/** A server's last words on a connection. */
const LAST_WORDS = /^(FATAL|PANIC)$/

/** Whether a statement failed because its connection ended, so that nobody knows what became of it. */
const isConnectionLost = (error: unknown): boolean => {
  if (error instanceof postgres.PostgresError) return LAST_WORDS.test(error.severity)
  return error instanceof Error && "code" in error && LOST.test(String(error.code))
}

type Body<A> = (tx: postgres.TransactionSql) => A | Promise<A>
/** A statement of the driver's: `handle` gives it to `handler`, once, which sends it; the others settle it. */
type Statement = Promise<unknown> & {
  handle: () => unknown
  handler: (statement: Statement) => unknown
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

const never = (): Promise<never> => new Promise(() => {})

interface Fate {
  isLost: boolean
  /** Ends the transaction: the pool was closed over it, and its connection may say so much later or never. */
  readonly destroy: (error: unknown) => void
}

/** Whether a statement failed because its pool was closed before it was answered. */
const isDestroyed = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "CONNECTION_DESTROYED"

/** A statement that is not sent once the connection is gone, and whose loss is for `begin` to tell, not for it. */
const guardStatement = (fate: Fate, made: unknown): unknown => {
  if (!(made instanceof Promise)) return made
  const statement = made as Statement
  const { then, handle } = statement
  statement.handle = () => (fate.isLost ? undefined : handle.call(statement))
  // biome-ignore lint/suspicious/noThenProperty: the driver sends a statement when it is waited for.
  statement.then = ((onValue: (value: unknown) => unknown, onError?: (error: unknown) => unknown) =>
    fate.isLost
      ? never()
      : then.call(statement, onValue, error => {
          if (isDestroyed(error)) fate.destroy(error)
          if (isConnectionLost(error)) return never()
          if (onError === undefined) throw error
          return onError(error)
        })) as Statement["then"]
  return statement
}

/** What a transaction's function works with: everything as it was, until the connection is lost; then it stands still. */
const guard = (fate: Fate, tx: postgres.TransactionSql): postgres.TransactionSql =>
  new Proxy(tx, {
    apply: (target, self, args) => guardStatement(fate, Reflect.apply(target, self, args)),
    get: (target, name) => {
      if (name === "unsafe" || name === "file")
        return (...args: ReadonlyArray<unknown>) =>
          guardStatement(fate, Reflect.apply(target[name] as never, target, args))
      if (name === "savepoint")
        return async (body: Body<unknown>) => {
          try {
            return await target.savepoint(inner => body(guard(fate, inner)))
          } catch (error) {
            return isConnectionLost(error) ? never() : Promise.reject(error)
          }
        }
      return Reflect.get(target, name)
    },
  })

/**
 * Runs one pinned transaction. Its function stands still for good, and is forgotten, when the connection is lost under it.
 * The pins are sent with the function's first statement; where they fail, so does the transaction.
 */
const beginOn = async <A>(
  pool: postgres.Sql,
  options: string,
  body: (tx: postgres.TransactionSql, fate: Fate) => A | Promise<A>,
): Promise<unknown> => {
  let destroy: Fate["destroy"] = () => {}
  const destroyed = new Promise<never>((_, reject) => {
    destroy = reject
  })
  const fate: Fate = { isLost: false, destroy }
  const whole = pool.begin(options, async tx => {
    try {
      const guarded = guard(fate, tx)
      guarded.unsafe(PIN).execute()
      const result = await body(guarded, fate)
      return fate.isLost ? never() : result
    } catch (error) {
      return fate.isLost ? never() : Promise.reject(error)
    }
  })
  try {
    return await Promise.race([whole, destroyed])
  } catch (error) {
    fate.isLost = true
    throw error
  }
}

/** How long one host may take to connect, where neither the address nor the caller says. */
const CONNECT_TIMEOUT_SECONDS = 15

/** One of the driver's pools, and how much is under way on it. */
interface Connections {
  readonly driver: postgres.Sql
  readonly dialer: Dialer
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

/** Sends a statement that was made for the pool within a transaction instead, and answers as it does. */
const sendWithin = (
  tx: postgres.TransactionSql,
  fate: Fate,
  statement: Statement,
  handle: () => unknown,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    statement.handler = (tx.unsafe("") as unknown as Statement).handler
    statement.resolve = resolve
    statement.reject = error => {
      if (isDestroyed(error)) fate.destroy(error)
      if (!isConnectionLost(error)) reject(error)
    }
    handle.call(statement)
  })

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
    const done = beginOn(on.driver, "", (tx, fate) => sendWithin(tx, fate, statement, handle))
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
 * Connections to one Postgres. A transaction fails, and nothing else happens, when its connection is lost. What is
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
  const open = (): Connections => {
    const dialer = boundedDialer(choose, 2 * max)
    const opened: Connections = {
      driver: openDriver(address, dialer.socket, {
        ...options,
        max,
        connect_timeout: timeoutSeconds,
        onclose: () => {
          if (isEnding || opened !== current) return
          current = open()
          const retire = () => {
            opened.isRetired = true
            closeIdle(opened)
          }
          replaced.set(opened, setTimeout(retire, retireAfterMillis).unref())
        },
      }),
      dialer,
      underWay: 0,
      isRetired: false,
    }
    return opened
  }
  let current = open()

  const begin = <A>(first: string | Body<A>, second?: Body<A>) => {
    const on = current
    const [mode, body] = typeof first === "string" ? [first, second!] : ["", first]
    return counting(on, beginOn(on.driver, mode, body), closeIdle)
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
