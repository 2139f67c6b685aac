import { readFileSync } from "node:fs"
import { isIP, type Socket } from "node:net"
import { checkServerIdentity, connect } from "node:tls"
import type { Host } from "./address.ts"
import type { Tls } from "./addressParameters.ts"
import { failure, placeOf } from "./place.ts"

/** TLS as libpq does it: the client asks for it in plain text, and then checks what `sslmode` demands. */

export interface TlsFiles {
  readonly ca: Buffer | undefined
  readonly cert: Buffer | undefined
  readonly key: Buffer | undefined
  readonly crl: Buffer | undefined
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
const YES = "S"
const NO = "N"

/** Reads the files of an address. An error's message names the parameter, and is the rest of a sentence. */
export const readTlsFiles = (tls: Tls): TlsFiles => {
  const read = (name: string, path: string | undefined) => {
    if (path === undefined) return undefined
    try {
      return readFileSync(path)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      throw new Error(`names a file in ${name} that cannot be read (${code}): ${path}`)
    }
  }
  const root = tls.rootCertificate === "system" ? undefined : tls.rootCertificate
  return {
    ca: read("sslrootcert", root),
    cert: read("sslcert", tls.certificate),
    key: read("sslkey", tls.key),
    crl: read("sslcrl", tls.revoked),
  }
}

/** Asks in plain text whether the server speaks TLS. Further bytes than its answer could come from another party. */
const askForTls = (raw: Socket): Promise<string> =>
  new Promise((resolve, reject) => {
    const onClose = () =>
      reject(failure("The server closed the connection when it was asked for TLS", "ECONNRESET"))
    raw.once("error", reject).once("close", onClose)
    raw.once("data", answer => {
      raw.removeListener("error", reject).removeListener("close", onClose)
      resolve(answer.toString("latin1"))
    })
    raw.write(SSL_REQUEST)
  })

/** True if the certificate is verified: in the modes that verify and, as in libpq, if authorities are named. */
const isVerified = ({ mode, rootCertificate }: Tls): boolean =>
  mode.startsWith("verify") || rootCertificate !== undefined

/** Encrypts an open connection. In the modes that do without TLS, it stays plain if the server has none. */
export const secured = async (raw: Socket, host: Host, tls: Tls, files: TlsFiles): Promise<Socket> => {
  if (!tls.isDirect) {
    const answer = await askForTls(raw)
    if (answer === NO && ["allow", "prefer"].includes(tls.mode)) return raw
    if (answer === NO)
      throw failure(`${placeOf(host)} has no TLS, which sslmode=${tls.mode} needs`, "ERR_TLS_REFUSED")
    if (answer !== YES) throw failure(`${placeOf(host)} did not answer as a Postgres does`, "ECONNRESET")
  }
  const { ca, cert, key, crl } = files
  const isNamed = tls.sendsName && isIP(host.name) === 0
  const socket = connect({
    socket: raw,
    rejectUnauthorized: isVerified(tls),
    // The name is given: the one that TLS itself would take is missing for an IP address.
    checkServerIdentity: (_, certificate) =>
      tls.mode === "verify-full" ? checkServerIdentity(host.name, certificate) : undefined,
    ...(isNamed ? { servername: host.name } : {}),
    ...(tls.isDirect ? { ALPNProtocols: ["postgresql"] } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(crl === undefined ? {} : { crl }),
    ...(tls.keyPassword === undefined ? {} : { passphrase: tls.keyPassword }),
    ...(tls.versionMin === undefined ? {} : { minVersion: tls.versionMin }),
    ...(tls.versionMax === undefined ? {} : { maxVersion: tls.versionMax }),
  })
  await new Promise<void>((resolve, reject) => {
    const onClose = () => reject(failure(`${placeOf(host)} ended TLS before it began`, "ERR_TLS_CLOSED"))
    socket.once("secureConnect", resolve).once("error", reject).once("close", onClose)
  })
  return socket
}
