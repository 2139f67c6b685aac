import type { Socket } from "node:net"
import { sqlOf, typeOf } from "./postgresWire.ts"

/** Follows the messages of one client for a proxy: the ends of groups of messages, and the commits. */

/** A moment in which Postgres is told to make something lasting: COMMIT of what was written, or a statement alone that writes. */
export interface CommitPoint {
  /** From 1, since the proxy was started or `count` set anew. */
  readonly n: number
  readonly sql: string
}

/** A fault at a commit point. The connection is cut then, and the client never gets the answer. */
export interface CommitFault {
  /** `before` Postgres was told, or `after` it has done it. */
  readonly when: "before" | "after"
  /** A side effect just before the cut. */
  readonly also?: () => void
}

/** Counters of a proxy's sessions, and the decisions about faults. */
export interface Watch {
  commits: Array<CommitPoint>
  hook: ((point: CommitPoint) => CommitFault | undefined) | null
}

const WRITES = /^\s*(with\b.*\b)?(insert|update|delete|merge)\b/is
const COMMITS = /^\s*(commit|end)\b/i
const BEGINS = /^\s*begin\b/i
/** Statements of which a transaction may be made that leaves nothing behind. */
const LEAVES_NOTHING =
  /^\s*(begin|commit|end|rollback|savepoint|release|set|show|lock|select|with|values|table)\b/i

/** Handles the messages between one client and its present server. */
export const makeSession = (watch: Watch, client: Socket, isPooled: boolean) => {
  let statement = ""
  /** Something was written since BEGIN. */
  let hasWritten = false
  let status = "I"
  let isInGroup = false
  /** Ends of groups that were sent, and answered: the first answer of a server of its own is to the start-up. */
  let sent = 0
  let answered = isPooled ? 0 : -1
  let swallowed: { readonly from: number; readonly fault: CommitFault } | undefined
  let isOver = false

  const strike = (fault: CommitFault) => {
    isOver = true
    fault.also?.()
    client.destroy()
  }
  const isCommitPoint = (type: string) =>
    (type === "E" || type === "Q") &&
    (COMMITS.test(statement) ? hasWritten : status === "I" && WRITES.test(statement))
  return {
    get isIdle() {
      return status === "I" && answered === sent && !isInGroup
    },
    /** True if a client's message is to be passed on. */
    asked: (frame: Buffer): boolean => {
      if (isOver) return false
      const type = typeOf(frame)
      if (type === "P" || type === "Q") {
        statement = sqlOf(frame)
        if (BEGINS.test(statement)) hasWritten = false
        hasWritten ||= WRITES.test(statement) || !LEAVES_NOTHING.test(statement)
      }
      if (isCommitPoint(type)) {
        const point = { n: watch.commits.length + 1, sql: statement.replace(/\s+/g, " ").trim() }
        watch.commits.push(point)
        const fault = watch.hook?.(point)
        if (fault?.when === "before") strike(fault)
        else if (fault !== undefined) swallowed = { from: sent, fault }
      }
      isInGroup = type !== "S" && type !== "Q"
      if (!isInGroup) sent += 1
      return !isOver
    },
    answered: (frame: Buffer): void => {
      if (isOver) return
      const isEnd = typeOf(frame) === "Z"
      const isSwallowed = swallowed !== undefined && answered >= swallowed.from
      if (isEnd) {
        answered += 1
        status = String.fromCharCode(frame[5]!)
      }
      if (!isSwallowed) client.write(frame)
      else if (isEnd) strike(swallowed!.fault)
    },
  }
}
