import { connect, type Socket } from "node:net"
import { Duplex } from "node:stream"
import type { Address, Host } from "./address.ts"
import { failure, isSocketFile, placeOf, socketFile } from "./place.ts"
import { guardStartup } from "./startup.ts"
import { secured, type TlsFiles } from "./tls.ts"

/** A way to a server: a host, with or without TLS. */
export interface Way {
  readonly host: Host
  readonly isEncrypted: boolean
}

/** Dials one way within the time that a host may take. Leaves nothing open when it fails, or when `signal` ends it. */
export type Dial = (way: Way, signal: AbortSignal) => Promise<Socket>

/** Connections for the driver: each is open, and encrypted where the address asks for it, before the driver gets it. */
export interface Dialer {
  /** The driver's `socket` option. It never rejects, because the driver would lose a connection: the socket fails. */
  readonly socket: () => Promise<Duplex>
  /** A statement succeeded or failed: what was tried before it was not in vain. */
  readonly settled: () => void
  /** Ends what is being dialled, and dials no more. */
  readonly close: () => void
}

export const stopped = () => failure("Connecting was told to stop", "CONNECTION_DESTROYED")

export const notAnswered = (host: Host, seconds: number) =>
  failure(`${placeOf(host)} did not answer within ${seconds} s`, "CONNECT_TIMEOUT")

/** The ways to a host, in libpq's order; a socket file needs no TLS. */
export const waysTo = (host: Host, mode: Address["tls"]["mode"]): ReadonlyArray<Way> => {
  const plain = { host, isEncrypted: false }
  const encrypted = { host, isEncrypted: true }
  if (mode === "disable" || isSocketFile(host)) return [plain]
  if (mode === "allow") return [plain, encrypted]
  return mode === "prefer" ? [encrypted, plain] : [encrypted]
}

const ignore = () => undefined

const ready = async (raw: Socket, { host, isEncrypted }: Way, tls: Address["tls"], files: TlsFiles) => {
  await new Promise<void>((resolve, reject) => {
    raw.once("connect", resolve).once("error", reject)
  })
  const socket = isEncrypted ? await secured(raw, host, tls, files) : raw
  // The driver reads them off the socket for its messages.
  return Object.assign(guardStartup(socket).on("error", ignore), { host: host.name, port: host.port })
}

/** Dials as the address has it. `timeoutSeconds` is the bound of one host, TLS included. */
export const makeDial =
  ({ tls }: Address, files: TlsFiles, timeoutSeconds: number): Dial =>
  async (way, signal) => {
    if (signal.aborted) throw stopped()
    const { name, ip, port } = way.host
    const raw = isSocketFile(way.host) ? connect(socketFile(way.host)) : connect({ host: ip ?? name, port })
    raw.on("error", ignore)
    let give: (error: Error) => void = ignore
    const given = new Promise<never>((_, reject) => {
      give = reject
    })
    const onAbort = () => give(stopped())
    const onTime = () => give(notAnswered(way.host, timeoutSeconds))
    const timer = setTimeout(onTime, timeoutSeconds * 1_000)
    signal.addEventListener("abort", onAbort)
    try {
      return await Promise.race([ready(raw, way, tls, files), given])
    } catch (error) {
      raw.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener("abort", onAbort)
    }
  }

/** A socket that tells the driver an error as soon as the driver listens. */
const failing = (error: unknown): Duplex => {
  const socket = new Duplex({ read: ignore, write: (_chunk, _encoding, done) => done() })
  setImmediate(() => socket.destroy(error as Error))
  return socket
}

/**
 * Connections for one of the driver's pools, each chosen by `choose`. Left to itself postgres.js 3.4 connects anew at
 * once, again and again and without an end, where a server takes a connection and closes it before a login: a tunnel, a
 * proxy or a published port whose Postgres is away. Statements then neither fail nor end. Here the attempt after
 * `attemptsMax` of them without a statement that settled is an error as any other that may pass. A pool that gets
 * somewhere needs one for each of its connections, and one for each request to cancel.
 */
export const boundedDialer = (
  choose: (signal: AbortSignal) => Promise<Socket>,
  attemptsMax: number,
): Dialer => {
  const closing = new AbortController()
  let inVain = 0
  const socket = async (): Promise<Duplex> => {
    inVain += 1
    try {
      if (inVain > attemptsMax)
        throw failure("The server closes each connection before a login", "ECONNRESET")
      return await choose(closing.signal)
    } catch (error) {
      return failing(error)
    }
  }
  return {
    socket,
    settled: () => {
      inVain = 0
    },
    close: () => closing.abort(),
  }
}
