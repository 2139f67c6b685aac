import { isIP } from "node:net"
import { Either } from "effect"
import { loginName } from "../core/login.ts"
import { AddressProblem, type Parameters, type Parts, readParameters } from "./addressParameters.ts"

/**
 * Reads the address of a Postgres as libpq reads a connection URI:
 * `postgres://user:password@host:port,host:port/database?…`. Unlike a URL of the web, it may name several hosts or the
 * directory of a socket, and has no fragment.
 */

const DEFAULT_PORT = 5432

export interface Host {
  /** A name or an IP address, with which its certificate is compared; or the directory of a Unix socket. */
  readonly name: string
  /** The IP address to dial instead of looking up the name. */
  readonly ip: string | undefined
  readonly port: number
}

export interface Address extends Parameters {
  /** At least one, in the order to try them. */
  readonly hosts: ReadonlyArray<Host>
  readonly user: string
  /** Empty where there is none. */
  readonly password: string
  readonly database: string
}

const EXAMPLE = "postgres://user:password@host:5432/database"

/** Decodes `%XX`. A literal % must be written `%25`, as libpq requires. */
const decoded = (text: string, part: string): string => {
  if (/%(?![0-9a-fA-F]{2})/.test(text))
    throw new AddressProblem(`has a % in its ${part} that no two hexadecimal digits follow: write it as %25`)
  if (/%00/.test(text)) throw new AddressProblem(`has %00 in its ${part}, which Postgres cannot hold`)
  try {
    return decodeURIComponent(text)
  } catch {
    throw new AddressProblem(`has percent-encoded bytes in its ${part} that are not UTF-8`)
  }
}

const HOST = /^(\[[^\]]*\]|[^:/?,]*)(?::([^:/?,]*))?(?=[/?,]|$)/

const readHosts = (text: string, parts: Parts): string => {
  const hosts: Array<string> = []
  const ports: Array<string> = []
  let rest = text
  for (;;) {
    const match = HOST.exec(rest)
    if (match === null)
      throw new AddressProblem(
        rest.startsWith("[") && !rest.includes("]")
          ? "has an IPv6 address without its closing ]"
          : "has a host that cannot be read: an IPv6 address must be in [brackets], a / in the user or password must be written as %2F",
      )
    hosts.push(decoded(match[1]!.replace(/^\[(.*)\]$/, "$1"), "host"))
    ports.push(decoded(match[2] ?? "", "port"))
    rest = rest.slice(match[0].length)
    if (!rest.startsWith(",")) break
    rest = rest.slice(1)
  }
  if (hosts.some(host => host !== "")) parts.set("host", hosts.join(","))
  if (ports.some(port => port !== "")) parts.set("port", ports.join(","))
  return rest
}

const readQuery = (query: string, parts: Parts): void => {
  for (const pair of query.split("&")) {
    const [name = "", value, ...more] = pair.split("=")
    const key = decoded(name, "parameters")
    if (value === undefined || more.length > 0)
      throw new AddressProblem(
        `has ${value === undefined ? "no =" : "a second ="} in its parameter ${key || "(empty)"}: write name=value, and = within a value as %3D`,
      )
    const parameter = decoded(value, `parameter ${key}`)
    // The spelling of the JDBC driver, which libpq understands.
    if (key === "ssl" && parameter === "true") parts.set("sslmode", "require")
    else parts.set(key, parameter)
  }
}

const partsOf = (text: string): Parts => {
  const scheme = /^postgres(?:ql)?:\/\//.exec(text)
  if (scheme === null) throw new AddressProblem(`must be a ${EXAMPLE} address`)
  const parts: Parts = new Map()
  let rest = text.slice(scheme[0].length)
  const login = /^([^@/]*)@/.exec(rest)
  if (login !== null) {
    const [user = "", ...password] = login[1]!.split(":")
    if (user !== "") parts.set("user", decoded(user, "user"))
    if (password.length > 0) parts.set("password", decoded(password.join(":"), "password"))
    rest = rest.slice(login[0].length)
  }
  rest = readHosts(rest, parts)
  if (rest.startsWith("/")) {
    const database = /^[^?]*/.exec(rest.slice(1))![0]
    if (database !== "") parts.set("dbname", decoded(database, "database"))
    rest = rest.slice(1 + database.length)
  }
  if (rest.startsWith("?") && rest.length > 1) readQuery(rest.slice(1), parts)
  return parts
}

const portOf = (text: string): number => {
  if (text === "") return DEFAULT_PORT
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535)
    throw new AddressProblem(
      "has a port that is no number from 1 to 65535 (a / in a user or password must be written as %2F)",
    )
  return port
}

const hostsOf = (parts: Parts): ReadonlyArray<Host> => {
  const names = parts.get("host")?.split(",") ?? []
  const ips = parts.get("hostaddr")?.split(",") ?? []
  const ports = parts.get("port")?.split(",") ?? [""]
  const count = Math.max(names.length, ips.length)
  if (count === 0)
    throw new AddressProblem(`names no host: write ${EXAMPLE}, or ?host=/directory of a socket`)
  if (names.length > 0 && ips.length > 0 && names.length !== ips.length)
    throw new AddressProblem(`has ${ips.length} values in hostaddr for ${names.length} hosts`)
  if (ports.length !== 1 && ports.length !== count)
    throw new AddressProblem(`has ${ports.length} ports for ${count} hosts: give one for all, or one each`)
  return Array.from({ length: count }, (_, index) => {
    const ip = ips[index] || undefined
    const name = names[index] || ip
    if (name === undefined) throw new AddressProblem("has an empty host in its list")
    if (ip !== undefined && isIP(ip) === 0)
      throw new AddressProblem("has a hostaddr that is no IP address: a name belongs into host")
    if (name.includes("@", 1))
      throw new AddressProblem("has an @ in its host: an @ in a user or password must be written as %40")
    if (name.startsWith("@")) throw new AddressProblem("names an abstract socket, which is not supported")
    return { name, ip, port: portOf(ports.length === 1 ? ports[0]! : ports[index]!) }
  })
}

/** Reads an address. The problem is the end of a line about the variable: it names the parameter, and quotes no value. */
export const parseAddress = (text: string): Either.Either<Address, string> =>
  Either.try({
    try: () => {
      const parts = partsOf(text)
      const user = parts.get("user") || loginName()
      if (user === undefined)
        throw new AddressProblem("names no user, and the login of this process has no name")
      return {
        hosts: hostsOf(parts),
        user,
        password: parts.get("password") ?? "",
        database: parts.get("dbname") || user,
        ...readParameters(parts),
      }
    },
    catch: error => {
      if (error instanceof AddressProblem) return error.message
      throw error
    },
  })
