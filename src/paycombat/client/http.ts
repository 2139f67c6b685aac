import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer, Option } from "effect"
import type { ConfigurationError } from "../../core/errors.ts"
import { redactedHeaders } from "./client.ts"
import { configuredProxies, ProxyInUse } from "./proxy.ts"

/** The program's own HTTP client: fetch, through the environment's proxy if one is set. */

/** Reads the proxies when it is built. Requests, redirects, time-outs and errors are the same with a proxy. */
export const ownHttpClient: Layer.Layer<HttpClient.HttpClient, ConfigurationError> = Layer.unwrapScoped(
  Effect.gen(function* () {
    const { isAny, of, unused } = yield* configuredProxies
    const inUse = Layer.succeed(ProxyInUse, { of, unused })
    if (!isAny) return Layer.merge(FetchHttpClient.layer, inUse)
    // Before the first request: loading it between requests would let several of them leave at once.
    const { makeProxiedFetch } = yield* Effect.promise(() => import("./proxiedFetch.ts"))
    const proxied = yield* makeProxiedFetch(of)
    const client = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, http =>
        HttpClient.transform(http, Effect.provideService(FetchHttpClient.Fetch, proxied)),
      ),
    ).pipe(Layer.provide(FetchHttpClient.layer))
    return Layer.merge(client, inUse)
  }),
)

/** Uses the provided HTTP client, or the program's own if none is provided. Redacts the token's header. */
export const givenClient: Layer.Layer<HttpClient.HttpClient, ConfigurationError> = Layer.merge(
  redactedHeaders,
  Layer.unwrapEffect(
    Effect.map(
      Effect.serviceOption(HttpClient.HttpClient),
      Option.match({
        onNone: () => ownHttpClient,
        onSome: given => Layer.succeed(HttpClient.HttpClient, given),
      }),
    ),
  ),
)
