import postgres from "postgres"
import { boundedSockets } from "./socket.ts"

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

type Options = NonNullable<Parameters<typeof postgres>[1]> & { readonly max: number }
type Body<A> = (tx: postgres.TransactionSql) => A | Promise<A>
/** A statement of the driver's: its `handle` sends it, once. */
type Statement = Promise<unknown> & { handle: () => unknown }

const never = (): Promise<never> => new Promise(() => {})

interface Fate {
  isLost: boolean
}

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

/** One transaction: its function stands still for good, and is forgotten, when the connection is lost under it. */
const beginOn = async <A>(pool: postgres.Sql, options: string, body: Body<A>): Promise<unknown> => {
  const fate: Fate = { isLost: false }
  try {
    return await pool.begin(options, async tx => {
      try {
        const result = await body(guard(fate, tx))
        return fate.isLost ? never() : result
      } catch (error) {
        return fate.isLost ? never() : Promise.reject(error)
      }
    })
  } catch (error) {
    fate.isLost = true
    throw error
  }
}

/** One of the driver's pools, and how much is under way on it. */
interface Connections {
  readonly driver: postgres.Sql
  /** To be told of each statement that is. */
  readonly settled: () => void
  underWay: number
  /** Its time to take statements is over. */
  isRetired: boolean
}

/** Counts work until it is settled. */
const counting = <A>(on: Connections, work: Promise<A>, closeIdle: (on: Connections) => void): Promise<A> => {
  on.underWay += 1
  const done = () => {
    on.underWay -= 1
    on.settled()
    closeIdle(on)
  }
  // The driver's own `then` would send a statement once more.
  Promise.prototype.then.call(work, done, done)
  return work
}

/** A statement that counts from when it is sent: one that is only made may never be. */
const countStatement = (on: Connections, made: unknown, closeIdle: (on: Connections) => void): unknown => {
  if (!(made instanceof Promise)) return made
  const statement = made as Statement
  const { handle } = statement
  let isSent = false
  statement.handle = () => {
    if (!isSent) {
      isSent = true
      counting(on, statement, closeIdle)
    }
    return handle.call(statement)
  }
  return statement
}

/**
 * Connections to one Postgres. A transaction fails, and nothing else happens, when its connection is lost. What is
 * asked after a loss goes to connections made anew; those of before are closed when nothing is under way on them any
 * more. `end({ timeout })` takes no longer than that, in seconds.
 */
export const openPool = (
  url: string,
  { max, ...options }: Options,
  retireAfterMillis = RETIRE_AFTER_MILLIS,
): postgres.Sql => {
  const replaced = new Map<Connections, NodeJS.Timeout>()
  let isEnding = false
  const closeIdle = (connections: Connections) => {
    if (isEnding || !connections.isRetired || connections.underWay > 0) return
    replaced.delete(connections)
    void connections.driver.end({ timeout: 0 })
  }
  const open = (): Connections => {
    const { socket, settled } = boundedSockets(2 * max)
    const opened: Connections = {
      driver: postgres(url, {
        ...options,
        max,
        socket,
        onclose: () => {
          if (isEnding || opened !== current) return
          current = open()
          const retire = () => {
            opened.isRetired = true
            closeIdle(opened)
          }
          replaced.set(opened, setTimeout(retire, retireAfterMillis).unref())
        },
      } as Options) as unknown as postgres.Sql,
      settled,
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
    return countStatement(on, made, closeIdle)
  }
  const end = async (given?: { timeout?: number }): Promise<void> => {
    isEnding = true
    for (const timer of replaced.values()) clearTimeout(timer)
    await Promise.all(
      [current, ...replaced.keys()].map(({ driver, underWay }) =>
        driver.end(underWay === 0 ? { timeout: 0 } : given),
      ),
    )
  }
  return new Proxy((() => {}) as unknown as postgres.Sql, {
    apply: (_, _self, args) => send(undefined, args),
    get: (_, name) => {
      if (name === "begin") return begin
      if (name === "end") return end
      if (name === "unsafe" || name === "file") return (...args: ReadonlyArray<unknown>) => send(name, args)
      return Reflect.get(current.driver, name)
    },
  })
}
