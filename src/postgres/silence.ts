import type postgres from "postgres"
import { failure } from "./place.ts"

/**
 * Detects silent connections, over which nothing comes and which nothing closes. A statement may take minutes, so
 * another connection asks Postgres whether the session is still at work, or waits for its client.
 */

export interface Session {
  readonly pid: number
  /** Start of its transaction. The session may have another one by now. */
  readonly begunAt: string
}

/** Time without an answer before the first look at the session, and before each next one, in milliseconds. */
const LOOK_AFTER_MILLIS = 10_000
const LOOK_AGAIN_MILLIS = 2_000
/** Looks in a row that find the session idle. A single look may be faster than the answer that is on its way. */
const IDLE_LOOKS = 2
/** Looks in a row without an answer. Postgres is then away, and an earlier connection has nothing to wait for. */
const UNANSWERED_LOOKS = 3

const wentSilent = () => failure("a connection went silent", "ETIMEDOUT")

/** `busy`: the session is at work. `idle`: it is not. `unanswered`: no server answered. */
export type Look = "busy" | "idle" | "unanswered"

export interface Wait {
  /** Count a statement that was sent, and one that was answered. */
  readonly sent: () => void
  readonly answered: () => void
  readonly opened: () => void
  readonly isAt: (session: Session | undefined) => void
  readonly lose: (error: Error) => void
  readonly over: () => void
}

/** Watches one transaction, which `destroy` ends. */
export type Watch = (destroy: (error: Error) => void) => Wait

const nothing = () => undefined

export const notWatched: Watch = destroy => ({
  sent: nothing,
  answered: nothing,
  opened: nothing,
  isAt: nothing,
  lose: destroy,
  over: nothing,
})

interface Watched {
  readonly look: (session: Session | undefined, isLast: boolean) => Promise<Look>
  /** True if all connections are taken: a transaction without one then waits for others. */
  readonly isFull: () => boolean
  readonly onOpen: (change: 1 | -1) => void
  readonly onLost: () => void
}

/** Condition on `pg_stat_activity`: the session in its transaction. `track_activities` may hide the transaction. */
const SESSION = "pid = $1 AND (state = 'disabled' OR xact_start = $2::text::timestamptz)"

/**
 * Asks, in another connection's transaction, whether a session is still at work. With `isLast`, ends an idle one, so
 * that its locks go: Postgres' own limit does not count while a part of a statement was received.
 */
export const lookAt = async (
  tx: postgres.TransactionSql,
  session: Session | undefined,
  isLast: boolean,
): Promise<Look> => {
  if (session === undefined) return "idle"
  const parameters = [session.pid, session.begunAt]
  const busy = await tx.unsafe(
    `SELECT FROM pg_stat_activity WHERE ${SESSION} AND wait_event_type IS DISTINCT FROM 'Client'`,
    parameters,
  )
  if (busy.length > 0) return "busy"
  if (isLast)
    await tx.unsafe(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${SESSION} AND wait_event_type = 'Client'`,
      parameters,
    )
  return "idle"
}

/** Watches transactions. One fails if its session is idle while it waits for an answer, or Postgres left. */
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
      const result = await look(session, looks.idle === IDLE_LOOKS - 1)
      if (isOver) return
      if (result === "busy") restart()
      else if (since === before) {
        looks[result] += 1
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
      isAt: current => {
        session = current
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
