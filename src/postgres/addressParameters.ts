/** The parameters of an address, with libpq's names, values and defaults. */

type SslMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full"

export type SessionAttributes = "any" | "read-write" | "read-only" | "primary" | "standby" | "prefer-standby"

export interface Tls {
  readonly mode: SslMode
  /** True if the connection begins with TLS, without asking for it first. */
  readonly isDirect: boolean
  /** File of trusted authorities. `system` and undefined stand for the ones that Node trusts. */
  readonly rootCertificate: string | undefined
  /** Files of the client's certificate and its key. */
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly keyPassword: string | undefined
  readonly revoked: string | undefined
  readonly sendsName: boolean
  readonly versionMin: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3" | undefined
  readonly versionMax: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3" | undefined
}

/** Parts of an address as written, each decoded; hosts and ports as lists with commas. */
export type Parts = Map<string, string>

/** The problem of an address, as the rest of a sentence that begins with the variable's name. Quotes no value. */
export class AddressProblem extends Error {}

export interface Parameters {
  readonly isShuffled: boolean
  readonly tls: Tls
  /** Longest time that one host may take; undefined for the program's default. */
  readonly connectTimeoutSeconds: number | undefined
  readonly sessionAttributes: SessionAttributes
  readonly session: Readonly<Record<string, string>>
}

/** Shortest time of `connect_timeout`: libpq raises shorter ones to it. */
const CONNECT_TIMEOUT_MIN_SECONDS = 2

const SSL_MODES: ReadonlyArray<SslMode> = [
  "disable",
  "allow",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
]
const SESSION_ATTRIBUTES: ReadonlyArray<SessionAttributes> = [
  "any",
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby",
]
const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const

/** Parameters that `parseAddress` reads itself: server and login. */
const PLACE = ["host", "hostaddr", "port", "user", "password", "dbname"]

const SESSION = ["application_name", "options"]

/** Parameters without an effect here: how a quiet connection is watched. */
const WITHOUT_EFFECT = [
  "fallback_application_name",
  "keepalives",
  "keepalives_idle",
  "keepalives_interval",
  "keepalives_count",
  "tcp_user_timeout",
  "sslcompression",
]

/** Parameters of which only some values are supported. `why` is the reason against the others. */
const RESTRICTED: Readonly<Record<string, { readonly may: ReadonlyArray<string>; readonly why: string }>> = {
  channel_binding: { may: ["prefer", "disable"], why: "SCRAM with channel binding is not supported" },
  gssencmode: { may: ["prefer", "disable"], why: "encryption by GSSAPI is not supported" },
  client_encoding: { may: ["UTF8", "utf8", "UTF-8", "utf-8", "auto"], why: "texts are sent as UTF8 only" },
  sslcertmode: { may: ["allow"], why: "whether a server asked for a certificate is not checked" },
}

const oneOf = <A extends string>(parts: Parts, name: string, allowed: ReadonlyArray<A>): A | undefined => {
  const value = parts.get(name)
  if (value === undefined || value === "") return undefined
  const match = allowed.find(candidate => candidate === value)
  if (match === undefined) throw new AddressProblem(`has a ${name} that is none of ${allowed.join(", ")}`)
  return match
}

const refuseOthers = (parts: Parts): void => {
  for (const [name, { may, why }] of Object.entries(RESTRICTED)) {
    const value = parts.get(name)
    if (value !== undefined && !may.includes(value))
      throw new AddressProblem(`asks for ${name}, of which only ${may.join(" and ")} can be kept to: ${why}`)
  }
  const supported = [...PLACE, ...SESSION, ...WITHOUT_EFFECT, ...Object.keys(RESTRICTED), ...READ]
  for (const name of parts.keys())
    if (!supported.includes(name))
      throw new AddressProblem(
        `has the parameter ${JSON.stringify(name)}, which is not supported: take it out; a setting of Postgres goes into options=-c%20name%3Dvalue`,
      )
}

const READ = [
  "connect_timeout",
  "target_session_attrs",
  "load_balance_hosts",
  "sslmode",
  "sslnegotiation",
  "sslrootcert",
  "sslcert",
  "sslkey",
  "sslpassword",
  "sslcrl",
  "sslsni",
  "ssl_min_protocol_version",
  "ssl_max_protocol_version",
]

const tlsOf = (parts: Parts): Tls => {
  const rootCertificate = parts.get("sslrootcert") || undefined
  const isSystem = rootCertificate === "system"
  const mode = oneOf(parts, "sslmode", SSL_MODES) ?? (isSystem ? "verify-full" : "prefer")
  if (isSystem && mode !== "verify-full")
    throw new AddressProblem("has sslrootcert=system, which needs sslmode=verify-full")
  const isDirect = oneOf(parts, "sslnegotiation", ["postgres", "direct"]) === "direct"
  if (isDirect && ["disable", "allow", "prefer"].includes(mode))
    throw new AddressProblem("has sslnegotiation=direct, which needs sslmode=require or stricter")
  const certificate = parts.get("sslcert") || undefined
  const key = parts.get("sslkey") || undefined
  if ((certificate === undefined) !== (key === undefined))
    throw new AddressProblem("has one of sslcert and sslkey, which belong together")
  return {
    mode,
    isDirect,
    rootCertificate,
    certificate,
    key,
    keyPassword: parts.get("sslpassword"),
    revoked: parts.get("sslcrl") || undefined,
    sendsName: oneOf(parts, "sslsni", ["0", "1"]) !== "0",
    versionMin: oneOf(parts, "ssl_min_protocol_version", TLS_VERSIONS),
    versionMax: oneOf(parts, "ssl_max_protocol_version", TLS_VERSIONS),
  }
}

/** Whole seconds. Zero and less stand for no limit, as in libpq. */
const timeoutOf = (parts: Parts): number | undefined => {
  const text = parts.get("connect_timeout")
  if (text === undefined || text === "") return undefined
  if (!/^\s*-?\d{1,6}\s*$/.test(text))
    throw new AddressProblem("has a connect_timeout that is no whole number of seconds")
  return Number(text) <= 0 ? undefined : Math.max(CONNECT_TIMEOUT_MIN_SECONDS, Number(text))
}

/** Reads the parameters; throws an `AddressProblem`. */
export const readParameters = (parts: Parts): Parameters => {
  refuseOthers(parts)
  return {
    isShuffled: oneOf(parts, "load_balance_hosts", ["disable", "random"]) === "random",
    tls: tlsOf(parts),
    connectTimeoutSeconds: timeoutOf(parts),
    sessionAttributes: oneOf(parts, "target_session_attrs", SESSION_ATTRIBUTES) ?? "any",
    session: Object.fromEntries(
      SESSION.flatMap(name => {
        const value = parts.get(name)
        return value === undefined || value === "" ? [] : [[name, value]]
      }),
    ),
  }
}
