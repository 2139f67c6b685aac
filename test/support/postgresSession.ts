import type { Socket } from "node:net"
import { sqlOf, typeOf } from "./postgresWire.ts"

/** What a proxy follows of one client's talk: where groups of messages end, and where something is committed. */

/** A moment in which Postgres is told to make something lasting: COMMIT of what was written, or a statement alone that writes. */
export interface CommitPoint {
  /** From 1, since the proxy was started or `count` set anew. */
  readonly n: number
  readonly sql: string
}

/** What happens at a commit point. The connection is cut then: the client never hears the answer. */
export interface CommitFault {
  /** `before` Postgres was told, or `after` it has done it. */
  readonly when: "before" | "after"
  /** What happens beside, just before the cut. */
  readonly also?: () => void
}

/** What sessions of a proxy count, and whom they ask what is to happen. */
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

/** What becomes of the messages between one client and its server, whichever that is at the moment. */
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
