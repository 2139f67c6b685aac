import * as HttpClient from "@effect/platform/HttpClient"
import { Effect, Layer, Option } from "effect"
import type { ConfigurationError } from "../../core/errors.ts"
import { redactedHeaders } from "./client.ts"
import { ownHttpClient } from "./http.ts"

/** The HTTP client that is provided where this is used; one of our own where none is. Redacts the token's header. */
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
