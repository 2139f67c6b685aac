import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer, Option } from "effect"
import { redactedHeaders } from "./Client.ts"

/** The HTTP client that is provided where this is used; one of our own where none is. Redacts the token's header. */
export const givenClient: Layer.Layer<HttpClient.HttpClient> = Layer.merge(
  redactedHeaders,
  Layer.unwrapEffect(
    Effect.map(
      Effect.serviceOption(HttpClient.HttpClient),
      Option.match({
        onNone: () => FetchHttpClient.layer,
        onSome: given => Layer.succeed(HttpClient.HttpClient, given),
      }),
    ),
  ),
)
