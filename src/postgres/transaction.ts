import postgres from "postgres"
import { PIN } from "./pin.ts"
import { notWatched, type Session, type Wait, type Watch } from "./silence.ts"

/** Runs one transaction of the driver: pinned, watched, and suspended for good once its connection is lost. */

/** Codes of errors that no server sent: the connection is gone, or never was. */
const LOST = /^(CONNECTION_(CLOSED|DESTROYED|ENDED)|CONNECT_TIMEOUT|E[A-Z]+)$/
/** Severities of errors after which a server closes the connection. */
const LAST_WORDS = /^(FATAL|PANIC)$/

/** True if a statement failed because its connection ended. It may have been done or not. */
const isConnectionLost = (error: unknown): boolean => {
  if (error instanceof postgres.PostgresError) return LAST_WORDS.test(error.severity)
  return error instanceof Error && "code" in error && LOST.test(String(error.code))
}

export type Body<A> = (tx: postgres.TransactionSql) => A | Promise<A>

/** A statement of the driver. `handle` gives it once to `handler`, which sends it. `resolve` and `reject` settle it. */
export type Statement = Promise<unknown> & {
  handle: () => unknown
  handler: (statement: Statement) => unknown
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  /** Rows of one part of a cursor; undefined if the statement is no cursor. */
  readonly cursorRows?: number
}

const never = (): Promise<never> => new Promise(() => {})

export interface Fate {
  isLost: boolean
  /** Ends the transaction on this side, if its pool was closed or its connection is silent. */
  readonly destroy: (error: unknown) => void
  readonly wait: Wait
}

const isDestroyed = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "CONNECTION_DESTROYED"

/** Counts a statement as waiting for its answer, until it is settled. */
const awaitAnswer = ({ wait }: Fate, statement: Statement): void => {
  // A cursor also waits for its reader, which may take any time.
  if (statement.cursorRows !== undefined) return
  const { resolve, reject } = statement
  wait.sent()
  statement.resolve = value => {
    wait.answered()
    resolve(value)
  }
  statement.reject = error => {
    wait.answered()
    reject(error)
  }
}

/** Changes a statement: it is not sent once the connection is lost, and does not report that loss itself. */
const guardStatement = (fate: Fate, made: unknown): unknown => {
  if (!(made instanceof Promise)) return made
  const statement = made as Statement
  const { then, handle } = statement
  let isSent = false
  statement.handle = () => {
    if (fate.isLost) return
    if (!isSent) awaitAnswer(fate, statement)
    isSent = true
    return handle.call(statement)
  }
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

/** Runs a savepoint. The driver itself sends its begin and, if it fails, its rollback. */
const savepoint = async (fate: Fate, tx: postgres.TransactionSql, body: Body<unknown>): Promise<unknown> => {
  const { wait } = fate
  wait.sent()
  try {
    return await tx.savepoint(async inner => {
      wait.answered()
      try {
        return await body(guard(fate, inner))
      } finally {
        wait.sent()
      }
    })
  } catch (error) {
    return isConnectionLost(error) ? never() : Promise.reject(error)
  } finally {
    wait.answered()
  }
}

/** Wraps a transaction for its function: unchanged until its connection is lost, and suspended after that. */
const guard = (fate: Fate, tx: postgres.TransactionSql): postgres.TransactionSql =>
  new Proxy(tx, {
    apply: (target, self, args) => guardStatement(fate, Reflect.apply(target, self, args)),
    get: (target, name) => {
      if (name === "unsafe" || name === "file")
        return (...args: ReadonlyArray<unknown>) =>
          guardStatement(fate, Reflect.apply(target[name] as never, target, args))
      if (name === "savepoint") return (body: Body<unknown>) => savepoint(fate, target, body)
      return Reflect.get(target, name)
    },
  })

type PinAnswer = ReadonlyArray<ReadonlyArray<Session>>

const ends = new WeakMap<Promise<unknown>, (error: Error) => void>()

/** Runs a transaction. If it is not settled when `signal` aborts, it fails, and its connection is destroyed. */
export const beginUntil = <A>(sql: postgres.Sql, signal: AbortSignal, run: Body<A>): Promise<A> => {
  const transaction = sql.begin(run) as Promise<A>
  signal.addEventListener("abort", () => ends.get(transaction)?.(new Error("Told to stop")))
  return transaction
}

/**
 * Runs one pinned transaction. If the connection is lost, its function never goes on. The pins are sent with the
 * function's first statement. If they fail, so does the transaction. `watch` ends the wait for a silent connection.
 */
export const beginOn = <A>(
  pool: postgres.Sql,
  options: string,
  body: (tx: postgres.TransactionSql, fate: Fate) => A | Promise<A>,
  watch: Watch = notWatched,
): Promise<A> => {
  let destroy: Fate["destroy"] = () => {}
  const destroyed = new Promise<never>((_, reject) => {
    destroy = error => {
      fate.isLost = true
      reject(error)
    }
  })
  const wait = watch(error => destroy(error))
  const fate: Fate = { isLost: false, destroy: error => destroy(error), wait }
  wait.sent()
  const begun = pool.begin(options, async tx => {
    wait.answered()
    // The error rolls it back: nothing waits for it any more.
    if (fate.isLost) throw new Error("This transaction was given up before it began")
    wait.opened()
    try {
      const guarded = guard(fate, tx)
      const pinned = guarded.unsafe(PIN).execute() as Promise<unknown> as Promise<PinAnswer>
      void pinned.then(
        answer => wait.isAt(answer.at(-1)?.[0]),
        () => undefined,
      )
      const result = await body(guarded, fate)
      return fate.isLost ? never() : result
    } catch (error) {
      return fate.isLost ? never() : Promise.reject(error)
    } finally {
      wait.sent()
    }
  }) as Promise<A>
  const settled = async () => {
    try {
      return await Promise.race([begun, destroyed])
    } catch (error) {
      fate.isLost = true
      throw error
    } finally {
      wait.over()
    }
  }
  const whole = settled()
  ends.set(whole, error => wait.lose(error))
  return whole
}

/** Sends a statement of the pool within a transaction, and settles with its answer. */
export const sendWithin = (
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
    awaitAnswer(fate, statement)
    handle.call(statement)
  })
