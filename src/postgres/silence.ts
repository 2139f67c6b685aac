import type postgres from "postgres"
import { failure } from "./place.ts"

/**
 * Connections that are silent: a firewall, a proxy or a host that went away forwards nothing and closes nothing. An answer
 * that is late says nothing, because a statement may take minutes. So another connection asks Postgres whether the session
 * is still at work. It is not where it waits for its client, which waits for it: then the answer never comes.
 */

/** The session of a transaction, as Postgres knows it. */
export interface Session {
  readonly pid: number
  /** Start of its transaction: the session may have another one by now. */
  readonly begunAt: string
}

/** Time without an answer after which Postgres is asked, and between two questions, in milliseconds. */
const LOOK_AFTER_MILLIS = 10_000
const LOOK_AGAIN_MILLIS = 2_000
/** Looks in a row that find the session not at work: one alone may be faster than the answer that is on its way. */
const IDLE_LOOKS = 2
/** Looks in a row that got no answer themselves: Postgres is away, and a connection of before has nothing to wait for. */
const UNANSWERED_LOOKS = 3

const wentSilent = () => failure("a connection went silent", "ETIMEDOUT")

/** `busy`: wait on. `idle`: not at work on it. `unanswered`: no server answered. */
export type Look = "busy" | "idle" | "unanswered"

/** A transaction's waiting for answers. */
export interface Wait {
  /** One more answer is waited for, or one less. */
  readonly sent: () => void
  readonly answered: () => void
  /** It has a connection. */
  readonly opened: () => void
  readonly isAt: (session: Session | undefined) => void
  /** Ends the waiting with an error, and the connection with it. */
  readonly lose: (error: Error) => void
  readonly over: () => void
}

/** Watches one transaction; `destroy` ends it. */
export type Watch = (destroy: (error: Error) => void) => Wait

const nothing = () => undefined

/** Watches nothing. */
export const notWatched: Watch = destroy => ({
  sent: nothing,
  answered: nothing,
  opened: nothing,
  isAt: nothing,
  lose: destroy,
  over: nothing,
})

export interface Watched {
  /** Looks at a session; `isLast` also ends one that is not at work. */
  readonly look: (session: Session | undefined, isLast: boolean) => Promise<Look>
  /** True where a transaction that has no connection yet waits for those of others. */
  readonly isFull: () => boolean
  readonly onOpen: (change: 1 | -1) => void
  /** A connection was given up. */
  readonly onLost: () => void
}

/** Rows of `pg_stat_activity` that are this session within its transaction. Without `track_activities` only its number is known. */
const SESSION = "pid = $1 AND (state = 'disabled' OR xact_start = $2::text::timestamptz)"

/**
 * Asks, within a transaction of another connection, whether that session is still at work. With `isLast` one that is not is
 * ended, so that nothing waits for what it locked: Postgres' own limit of an idle transaction does not count while a
 * statement was sent in part.
 */
export const lookAt = async (
  tx: postgres.TransactionSql,
  session: Session | undefined,
  isLast: boolean,
): Promise<Look> => {
  if (session === undefined) return "idle"
  const given = [session.pid, session.begunAt]
  const busy = await tx.unsafe(
    `SELECT FROM pg_stat_activity WHERE ${SESSION} AND wait_event_type IS DISTINCT FROM 'Client'`,
    given,
  )
  if (busy.length > 0) return "busy"
  if (isLast)
    await tx.unsafe(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${SESSION} AND wait_event_type = 'Client'`,
      given,
    )
  return "idle"
}

/** Watches transactions: one whose session is not at work on what it waits for, or that Postgres left, fails. */
export const watching =
  ({ look, isFull, onOpen, onLost }: Watched): Watch =>
  destroy => {
    let waiting = 0
    let since = 0
    let isOpen = false
    let isOver = false
    let session: Session | undefined
    let timer: NodeJS.Timeout
    const looks = { idle: 0, unanswered: 0 }

    const restart = () => {
      since = performance.now()
      looks.idle = 0
      looks.unanswered = 0
    }
    const count = (change: 1 | -1) => {
      waiting += change
      restart()
    }
    const lose = (error: Error) => {
      if (isOver) return
      destroy(error)
      onLost()
    }
    const check = async () => {
      const isLate = waiting > 0 && performance.now() - since >= LOOK_AFTER_MILLIS
      if (!isLate || (!isOpen && isFull())) return plan(LOOK_AGAIN_MILLIS)
      const before = since
      const found = await look(session, looks.idle === IDLE_LOOKS - 1)
      if (isOver) return
      if (found === "busy") restart()
      else if (since === before) {
        looks[found] += 1
        if (looks.idle >= IDLE_LOOKS || looks.unanswered >= UNANSWERED_LOOKS) return lose(wentSilent())
      }
      plan(LOOK_AGAIN_MILLIS)
    }
    const plan = (millis: number) => {
      timer = setTimeout(() => void check(), millis).unref()
    }
    plan(LOOK_AFTER_MILLIS)
    return {
      sent: () => count(1),
      answered: () => count(-1),
      opened: () => {
        if (isOver) return
        isOpen = true
        onOpen(1)
      },
      isAt: found => {
        session = found
      },
      lose,
      over: () => {
        isOver = true
        clearTimeout(timer)
        if (isOpen) onOpen(-1)
        isOpen = false
      },
    }
  }
