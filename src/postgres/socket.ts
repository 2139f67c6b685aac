import { connect, type Socket } from "node:net"
import { Duplex } from "node:stream"
import type { Address, Host } from "./address.ts"
import { failure, isSocketFile, placeOf, socketFile } from "./place.ts"
import { guardStartup } from "./startup.ts"
import { secured, type TlsFiles } from "./tls.ts"

export interface Way {
  readonly host: Host
  readonly isEncrypted: boolean
}

/** Dials one way, within the bound of one host. Leaves nothing open if it fails, or if `signal` aborts it. */
export type Dial = (way: Way, signal: AbortSignal) => Promise<Socket>

/** Makes connections for the driver: each is open, and encrypted if the address asks for it. */
export interface Dialer {
  /** The driver's `socket` option. It never rejects, since the driver would lose a connection: the socket fails. */
  readonly socket: () => Promise<Duplex>
  /** Reports that a statement was answered: the attempts before it were not in vain. */
  readonly settled: () => void
  /** Aborts what is being dialled, and dials no more. */
  readonly close: () => void
}

export const stopped = () => failure("Connecting was told to stop", "CONNECTION_DESTROYED")

export const notAnswered = (host: Host, seconds: number) =>
  failure(`${placeOf(host)} did not answer within ${seconds} s`, "CONNECT_TIMEOUT")

/** The ways to a host, in libpq's order. A socket file needs no TLS. */
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

/** Makes the function that dials by an address. `timeoutSeconds` is the bound of one host, TLS included. */
export const makeDial =
  ({ tls }: Address, files: TlsFiles, timeoutSeconds: number): Dial =>
  async (way, signal) => {
    if (signal.aborted) throw stopped()
    const { name, ip, port } = way.host
    const raw = isSocketFile(way.host) ? connect(socketFile(way.host)) : connect({ host: ip ?? name, port })
    raw.on("error", ignore)
    let giveUp: (error: Error) => void = ignore
    const givenUp = new Promise<never>((_, reject) => {
      giveUp = reject
    })
    const onAbort = () => giveUp(stopped())
    const onTime = () => giveUp(notAnswered(way.host, timeoutSeconds))
    const timer = setTimeout(onTime, timeoutSeconds * 1_000)
    signal.addEventListener("abort", onAbort)
    try {
      return await Promise.race([ready(raw, way, tls, files), givenUp])
    } catch (error) {
      raw.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener("abort", onAbort)
    }
  }

/** A socket that fails as soon as the driver listens. */
const failing = (error: unknown): Duplex => {
  const socket = new Duplex({ read: ignore, write: (_chunk, _encoding, done) => done() })
  setImmediate(() => socket.destroy(error as Error))
  return socket
}

/**
 * Makes connections for one of the driver's pools, each chosen by `choose`. Without a bound on attempts, postgres.js
 * 3.4 connects again without an end if a server closes each connection before a login. After `attemptsMax` attempts
 * without a statement that settled, the next one is a transient error.
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
