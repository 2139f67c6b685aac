import { Data, Effect } from "effect"
import type { Failure } from "./failures.ts"

/**
 * One span per request, without query, header, body and the error's message: other people read the collector, and the
 * platform's own span has the address with a person's id.
 */

export interface SpanSubject {
  readonly baseUrl: string
  readonly route: string
}

/** Replaces a failure in the span, because the failure's own message names the path. */
class RequestFailed extends Data.TaggedError("RequestFailed")<{ readonly message: string }> {}

const statusOf = ({ error }: Failure) => (error._tag === "EndpointError" ? error.status : 401)

const serverOf = (baseUrl: string): Record<string, unknown> => {
  if (!URL.canParse(baseUrl)) return {}
  const { hostname, port, protocol } = new URL(baseUrl)
  return {
    "server.address": hostname,
    "url.scheme": protocol.slice(0, -1),
    ...(port === "" ? {} : { "server.port": Number(port) }),
  }
}

export const traced = <A extends { readonly status: number }, R>(
  { baseUrl, route }: SpanSubject,
  attempt: Effect.Effect<A, Failure, R>,
): Effect.Effect<A, Failure, R> => {
  const answered = (status: number) => Effect.annotateCurrentSpan("http.response.status_code", status)
  return Effect.suspend(() => {
    let failed: Failure | undefined
    return attempt.pipe(
      Effect.tap(({ status }) => answered(status)),
      Effect.catchAll(failure => {
        failed = failure
        const status = statusOf(failure)
        const what = status === undefined ? "no answer" : `answered ${status}`
        return Effect.zipRight(
          status === undefined ? Effect.void : answered(status),
          Effect.fail(new RequestFailed({ message: `GET ${route}: ${what}` })),
        )
      }),
      Effect.withSpan("http.client GET", {
        kind: "client",
        captureStackTrace: false,
        attributes: { "http.request.method": "GET", "url.template": route, ...serverOf(baseUrl) },
      }),
      Effect.catchTag("RequestFailed", () => Effect.fail(failed!)),
    )
  })
}
