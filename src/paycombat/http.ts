import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer } from "effect"
import type { ConfigurationError } from "../Errors.ts"
import { configuredProxies, type Proxy, ProxyInUse, type ProxyOf } from "./proxy.ts"

/** The program's own HTTP client: fetch, through the proxy of the environment where one is set. */

/** A fetch that goes through a proxy. undici is loaded with the first request that needs it: few runs do. */
const makeProxiedFetch = (of: ProxyOf) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      type Undici = typeof import("undici")
      let loading: Promise<Undici> | undefined
      const agents = new Map<Proxy, InstanceType<Undici["ProxyAgent"]>>()
      const agentFor = ({ ProxyAgent }: Undici, proxy: Proxy, isTunnelled: boolean) => {
        const known = agents.get(proxy)
        if (known !== undefined) return known
        const { url, authorization } = proxy
        // A proxy forwards what is not TLS by itself; many refuse to tunnel it.
        const options = { uri: url, proxyTunnel: isTunnelled }
        const agent = new ProxyAgent(
          authorization === undefined ? options : { ...options, token: authorization },
        )
        agents.set(proxy, agent)
        return agent
      }
      const proxied: typeof fetch = async (input, init) => {
        const url = String(input instanceof Request ? input.url : input)
        const proxy = of(url)
        if (proxy === undefined) return fetch(input, init)
        loading ??= import("undici")
        const undici = await loading
        const dispatcher = agentFor(undici, proxy, url.startsWith("https:"))
        // The same fetch as Node's own, of the same authors; only the names of the types differ.
        const request = { ...init, dispatcher } as Parameters<Undici["fetch"]>[1]
        return (await undici.fetch(url, request)) as unknown as Response
      }
      return { proxied, agents }
    }),
    ({ agents }) => Effect.promise(() => Promise.all([...agents.values()].map(agent => agent.destroy()))),
  )

/** Reads the proxies when it is built. What a request is, its redirects, time-outs and errors, is the same with one. */
export const ownHttpClient: Layer.Layer<HttpClient.HttpClient, ConfigurationError> = Layer.unwrapScoped(
  Effect.gen(function* () {
    const { isAny, of } = yield* configuredProxies
    if (!isAny) return FetchHttpClient.layer
    const { proxied } = yield* makeProxiedFetch(of)
    const client = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, http =>
        HttpClient.transform(http, Effect.provideService(FetchHttpClient.Fetch, proxied)),
      ),
    ).pipe(Layer.provide(FetchHttpClient.layer))
    return Layer.merge(client, Layer.succeed(ProxyInUse, { of }))
  }),
)
