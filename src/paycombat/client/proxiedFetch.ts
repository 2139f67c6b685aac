import { Effect, type Scope } from "effect"
import { ProxyAgent, fetch as undiciFetch } from "undici"
import type { Proxy, ProxyOf } from "./proxy.ts"

/**
 * Makes a fetch that sends a request through the proxy of its URL, or directly if it has none. Connections to proxies
 * are closed with the scope. It loads undici, which few runs need, so import this module on demand.
 */
export const makeProxiedFetch = (of: ProxyOf): Effect.Effect<typeof fetch, never, Scope.Scope> =>
  Effect.gen(function* () {
    const agents = new Map<Proxy, ProxyAgent>()
    yield* Effect.addFinalizer(() =>
      Effect.promise(() => Promise.all([...agents.values()].map(agent => agent.destroy()))),
    )
    const agentFor = (proxy: Proxy, isTunnelled: boolean) => {
      const known = agents.get(proxy)
      if (known !== undefined) return known
      const { url, authorization } = proxy
      // The proxy forwards plain HTTP, because many proxies refuse to tunnel it.
      const options = { uri: url, proxyTunnel: isTunnelled }
      const agent = new ProxyAgent(
        authorization === undefined ? options : { ...options, token: authorization },
      )
      agents.set(proxy, agent)
      return agent
    }
    return async (input, init) => {
      const url = String(input instanceof Request ? input.url : input)
      const proxy = of(url)
      if (proxy === undefined) return fetch(input, init)
      const dispatcher = agentFor(proxy, url.startsWith("https:"))
      // Node's own fetch is an undici, too; only the names of the types differ.
      const request = { ...init, dispatcher } as Parameters<typeof undiciFetch>[1]
      return (await undiciFetch(url, request)) as unknown as Response
    }
  })
