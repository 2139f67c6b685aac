import postgres from "postgres"

/**
 * postgres.js, made safe against connections that end in the middle of something. Three things that its 3.4 line
 * does then were seen, each held by a test:
 *
 * - A transaction that fails because its connection ended is rolled back on the connection that is gone: a
 *   `TypeError` that nobody can catch ends the process.
 * - A transaction's function goes on after that. Its next statements run on a connection that was made anew:
 *   outside of any transaction, each committed by itself.
 * - A statement that waited to be sent while its connection ended stays in front of all that the connection ever
 *   sends again, which nobody answers.
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

type Options = NonNullable<Parameters<typeof postgres>[1]>
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

/**
 * Connections to one Postgres. A transaction fails, and nothing else happens, when its connection is lost. What is
 * asked after a loss goes to connections made anew; those of before end their transactions and are closed.
 */
export const openPool = (
  url: string,
  options: Options,
  retireAfterMillis = RETIRE_AFTER_MILLIS,
): postgres.Sql => {
  const retired = new Map<postgres.Sql, NodeJS.Timeout>()
  let isEnding = false
  const open = (): postgres.Sql => {
    const opened: postgres.Sql = postgres(url, {
      ...options,
      onclose: () => {
        if (isEnding || opened !== pool) return
        pool = open()
        const close = () => opened.end().then(() => retired.delete(opened))
        retired.set(opened, setTimeout(close, retireAfterMillis).unref())
      },
    } as Options) as unknown as postgres.Sql
    return opened
  }
  let pool = open()

  const begin = <A>(first: string | Body<A>, second?: Body<A>) =>
    typeof first === "string" ? beginOn(pool, first, second!) : beginOn(pool, "", first)
  const end = async (given?: { timeout?: number }): Promise<void> => {
    isEnding = true
    for (const timer of retired.values()) clearTimeout(timer)
    await Promise.all([pool, ...retired.keys()].map(opened => opened.end(given)))
  }
  return new Proxy((() => {}) as unknown as postgres.Sql, {
    apply: (_, self, args) => Reflect.apply(pool, self, args),
    get: (_, name) => (name === "begin" ? begin : name === "end" ? end : Reflect.get(pool, name)),
  })
}
