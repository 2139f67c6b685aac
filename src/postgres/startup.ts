import type { Socket } from "node:net"
import { failure } from "./place.ts"

/** Checks the messages of a server until it has let a login in. The driver believes all of them. */

/** Most rounds of hashing that a server may ask of a login. Postgres asks for 4,096. A million takes a second here. */
const SCRAM_ITERATIONS_MAX = 1_000_000
/** Longest message about a login, in bytes. */
const LOGIN_BYTES_MAX = 10_000
const TYPE_BYTES = 1
const LENGTH_BYTES = 4

const AUTHENTICATION = "R"
const READY = "Z"
const BEFORE_READY = /[RSKNEv]/

const unfit = (what: string) => failure(`The server ${what}`, "NOT_POSTGRES")

const judgeMessage = (type: string, body: Buffer): Error | undefined => {
  if (type !== AUTHENTICATION) return undefined
  if (body.length < LENGTH_BYTES) return unfit("sent a message about the login that is cut short")
  const [, iterations] = /(?:^|,)i=(\d+)/.exec(body.subarray(LENGTH_BYTES).toString("latin1")) ?? []
  return Number(iterations ?? 0) > SCRAM_ITERATIONS_MAX
    ? unfit(`asks for ${iterations} rounds of hashing to log in; ${SCRAM_ITERATIONS_MAX} are the most`)
    : undefined
}

/**
 * Ends a new connection with a clear error if the server answers the login with anything but messages of Postgres, or
 * with more work than a login may cost. Does not look at messages after the login.
 */
export const guardStartup = (socket: Socket): Socket => {
  const push = socket.push.bind(socket)
  let rest = Buffer.alloc(0)
  /** Bytes of a message that are still to come and are not checked. */
  let skipped = 0
  const judge = (): Error | "ready" | undefined => {
    for (;;) {
      const passed = Math.min(skipped, rest.length)
      skipped -= passed
      rest = rest.subarray(passed)
      if (skipped > 0 || rest.length < TYPE_BYTES + LENGTH_BYTES) return undefined
      const type = String.fromCharCode(rest[0]!)
      const length = rest.readInt32BE(TYPE_BYTES)
      if (type === READY) return "ready"
      if (!BEFORE_READY.test(type) || length < LENGTH_BYTES) return unfit("does not answer as Postgres does")
      if (type !== AUTHENTICATION) {
        skipped = TYPE_BYTES + length
        continue
      }
      if (length > LOGIN_BYTES_MAX) return unfit("sent a message about the login that is too long")
      if (rest.length < TYPE_BYTES + length) return undefined
      const problem = judgeMessage(type, rest.subarray(TYPE_BYTES + LENGTH_BYTES, TYPE_BYTES + length))
      if (problem !== undefined) return problem
      rest = rest.subarray(TYPE_BYTES + length)
    }
  }
  socket.push = (chunk: Buffer | null, encoding) => {
    if (chunk !== null) {
      rest = Buffer.concat([rest, chunk])
      const result = judge()
      if (result instanceof Error) {
        socket.destroy(result)
        return false
      }
      if (result === "ready") {
        rest = Buffer.alloc(0)
        socket.push = push
      }
    }
    return push(chunk, encoding)
  }
  return socket
}
