import type { ServerResponse } from "node:http"
import type { Fault } from "./world/faults.ts"

export interface Answer {
  readonly status: number
  readonly body: string
}

/** Sends an answer, changed by a fault if there is one. `answer` is called only if the true answer is sent. */
export const respond = (response: ServerResponse, fault: Fault | undefined, answer: () => Answer): void => {
  if (fault?.reset) return void response.destroy()
  if (fault?.hang) return
  const send = () => {
    if (response.destroyed) return
    if (fault?.chunks !== undefined) return stream(response, fault, fault.chunks())
    const isOverridden = fault?.status !== undefined || fault?.body !== undefined
    const truth: Answer = isOverridden ? { status: 200, body: "" } : answer()
    const given = typeof fault?.body === "string" ? fault.body : JSON.stringify(fault?.body ?? {})
    const body = isOverridden ? given : (fault?.transform?.(truth.body) ?? truth.body)
    const bytes = fault?.encode?.(body) ?? Buffer.from(body)
    if (fault?.dripMillis !== undefined) return stream(response, fault, bytewise(bytes))
    response.writeHead(fault?.status ?? truth.status, {
      "content-type": "application/json; charset=utf-8",
      "content-length": bytes.length,
      ...fault?.headers,
    })
    if (!fault?.cut) return void response.end(bytes)
    response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy())
  }
  if (fault?.delayMillis === undefined) send()
  else setTimeout(send, fault.delayMillis)
}

function* bytewise(bytes: Buffer) {
  for (let n = 0; n < bytes.length; n++) yield bytes.subarray(n, n + 1)
}

/** Sends the body piece by piece, as fast as the client reads, so that it is never in memory as a whole. */
const stream = (response: ServerResponse, fault: Fault, chunks: Iterator<Uint8Array>): void => {
  response.writeHead(fault.status ?? 200, { "content-type": "application/json", ...fault.headers })
  const next = () => {
    if (response.destroyed) return
    const { done, value } = chunks.next()
    if (done) return void response.end()
    const isTaken = response.write(value)
    if (fault.dripMillis !== undefined) setTimeout(next, fault.dripMillis)
    else if (isTaken) setImmediate(next)
    else response.once("drain", next)
  }
  next()
}
