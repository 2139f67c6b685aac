import { BlockList, isIP } from "node:net"
import { Config, Context, Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"

/** Which proxy a request goes through, by the variables that other programs read: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY. */

export interface Proxy {
  /** Without credentials. */
  readonly url: string
  /** Value of `Proxy-Authorization`; undefined without credentials. */
  readonly authorization: string | undefined
  /** Host and port, and the variable that names it, for errors. Never a credential. */
  readonly label: string
}

/** Finds the proxy for an address; undefined if it is asked directly. */
export type ProxyOf = (url: string) => Proxy | undefined

export interface Proxies {
  readonly of: ProxyOf
  /** The variable of a proxy that this program cannot use and passes over, with its kind; undefined where there is none. */
  readonly unused: string | undefined
}

/** The proxies that errors name. The default knows of none, as with an HTTP client that a host application gives. */
export class ProxyInUse extends Context.Reference<ProxyInUse>()("paycombat-sync/ProxyInUse", {
  defaultValue: (): Proxies => ({ of: () => undefined, unused: undefined }),
}) {}

/** Normalizes a host for comparison: no brackets, no dot at its end, and one spelling of an IPv6 address. */
const plainHost = (host: string): string => {
  const bare = host
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase()
  return isIP(bare) === 6 && URL.canParse(`http://[${bare}]`)
    ? new URL(`http://[${bare}]`).hostname.slice(1, -1)
    : bare
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host)

const defaultPort = (protocol: string) => (protocol === "https:" ? "443" : "80")

const isInNetwork = (network: string, bits: string, host: string): boolean => {
  const kind = isIP(network) === 6 ? "ipv6" : "ipv4"
  if (isIP(network) === 0 || isIP(host) === 0 || !/^\d+$/.test(bits)) return false
  if (Number(bits) > (kind === "ipv6" ? 128 : 32)) return false
  const list = new BlockList()
  list.addSubnet(network, Number(bits), kind)
  return list.check(host, isIP(host) === 6 ? "ipv6" : "ipv4")
}

/**
 * True if an entry of NO_PROXY means this host: a name and all names below it, an address, both with or without a port
 * (an IPv6 address with a port is in brackets), a network such as `10.0.0.0/8`, which older curl does not know, or `*`.
 */
const isExcepted = (entry: string, host: string, port: string): boolean => {
  if (entry === "*") return true
  const [network, bits] = entry.split("/")
  if (bits !== undefined) return isInNetwork(plainHost(network!), bits, host)
  const [, named = entry, only] = isIP(entry) === 6 ? [] : (/^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? [])
  if (only !== undefined && only !== port) return false
  const suffix = plainHost(named).replace(/^\*?\./, "")
  return suffix !== "" && (host === suffix || (isIP(host) === 0 && host.endsWith(`.${suffix}`)))
}

const proxyIn = (variable: string, text: string): Effect.Effect<Proxy, ConfigurationError> =>
  Effect.suspend(() => {
    const refuse = (what: string) =>
      Effect.fail(
        new ConfigurationError({
          message: `${variable} ${what}. Set it to the proxy's address, such as http://proxy.example:3128, or unset it.`,
        }),
      )
    const address = text.includes("://") ? text : `http://${text}`
    if (!URL.canParse(address)) return refuse("is not an address")
    const url = new URL(address)
    if (url.protocol !== "http:" && url.protocol !== "https:")
      return refuse(`names a proxy of the kind ${url.protocol.slice(0, -1)}: only http and https are spoken`)
    const { username, password, protocol } = url
    const decoded = [username, password].map(part => {
      try {
        return decodeURIComponent(part)
      } catch {
        return part
      }
    })
    return Effect.succeed({
      url: `${protocol}//${url.host}`,
      authorization:
        username === "" ? undefined : `Basic ${Buffer.from(decoded.join(":")).toString("base64")}`,
      label: `${url.hostname}:${url.port || defaultPort(protocol)} (${variable})`,
    })
  })

/** Finds the first that is set, in lower case first, as curl does. `.env` and the process' environment both count. */
const firstSet = (name: string): Effect.Effect<readonly [variable: string, value: string] | undefined> =>
  Effect.gen(function* () {
    for (const variable of [name.toLowerCase(), name]) {
      const configured = yield* Effect.orElseSucceed(Config.string(variable), () => "")
      const value = configured.trim() || (process.env[variable] ?? "").trim()
      if (value !== "") return [variable, value] as const
    }
    return undefined
  })

/** The kind of a proxy that speaks no HTTP, such as `socks5`; undefined of any other. */
const otherKind = (text: string): string | undefined =>
  /^(?!https?:)([a-z][a-z\d+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()

/**
 * Reads the variables. ALL_PROXY counts where the one for the protocol is not set. Loopback is always asked directly: no
 * proxy can reach it. Fails for a proxy that cannot be used, and never quotes its credentials. An ALL_PROXY of another kind,
 * such as SOCKS, is meant for other programs and is passed over.
 */
export const configuredProxies: Effect.Effect<Proxies & { readonly isAny: boolean }, ConfigurationError> =
  Effect.gen(function* () {
    const all = yield* firstSet("ALL_PROXY")
    const kind = all === undefined ? undefined : otherKind(all[1])
    const proxies = new Map<string, Proxy>()
    for (const [protocol, name] of [
      ["https:", "HTTPS_PROXY"],
      ["http:", "HTTP_PROXY"],
    ] as const) {
      const set = (yield* firstSet(name)) ?? (kind === undefined ? all : undefined)
      if (set !== undefined) proxies.set(protocol, yield* proxyIn(...set))
    }
    const exceptions = ((yield* firstSet("NO_PROXY"))?.[1] ?? "")
      .toLowerCase()
      .split(/[\s,]+/)
      .filter(Boolean)
    const of: ProxyOf = address => {
      if (!URL.canParse(address)) return undefined
      const url = new URL(address)
      const host = plainHost(url.hostname)
      const port = url.port || defaultPort(url.protocol)
      const isDirect = isLoopback(host) || exceptions.some(entry => isExcepted(entry, host, port))
      return isDirect ? undefined : proxies.get(url.protocol)
    }
    return { isAny: proxies.size > 0, of, unused: kind && `${all![0]} (${kind})` }
  })
