import type { HttpClientError } from "@effect/platform/HttpClientError"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import { Effect, type Scope, Stream } from "effect"
import {
  type Asked,
  type Failure,
  ofForeignText,
  ofLargeAnswer,
  ofTransport,
  type Received,
} from "./answer.ts"
import { type AnswerBounds, ERROR_BODY_BYTES, LARGE_BODY_BYTES } from "./bounds.ts"

/**
 * Reads a body up to its bound, which is on what fetch unpacks: a small body may become a large one. Of an error only
 * the beginning is read, and one that is longer counts as having no body: its status says enough.
 */
export const receive = (
  asked: Asked,
  response: HttpClientResponse,
  bounds: AnswerBounds,
  large: Effect.Semaphore,
): Effect.Effect<Received, Failure, Scope.Scope> => {
  const { status, headers } = response
  const isSuccess = status >= 200 && status < 300
  const tooLarge = Effect.fail(ofLargeAnswer(asked, bounds, `${bounds.bytes / 2 ** 20} MiB`, status))
  if (isSuccess && Number(headers["content-length"]) > bounds.bytes) return tooLarge
  let bytes = 0
  let isLarge = false
  let chunks: Array<Uint8Array> = []
  const take = (chunk: Uint8Array): Effect.Effect<boolean, Failure, Scope.Scope> => {
    bytes += chunk.byteLength
    if (!isSuccess && bytes > ERROR_BODY_BYTES) {
      chunks = []
      return Effect.succeed(false)
    }
    if (bytes > bounds.bytes) return tooLarge
    chunks.push(chunk)
    if (bytes <= LARGE_BODY_BYTES || isLarge) return Effect.succeed(true)
    isLarge = true
    return Effect.uninterruptibleMask(restore =>
      Effect.zipRight(
        restore(large.take(1)),
        Effect.as(
          Effect.addFinalizer(() => large.release(1)),
          true,
        ),
      ),
    )
  }
  const read = response.stream.pipe(
    Stream.mapEffect(take),
    Stream.takeWhile(goesOn => goesOn),
    Stream.runDrain,
    // 204, and whatever else has no body: it is whole as it is.
    Effect.catchIf(isEmptyBody, () => Effect.void),
    Effect.mapError((error: HttpClientError | Failure) =>
      "isTransient" in error ? error : ofTransport(asked, error),
    ),
  )
  return Effect.flatMap(read, () =>
    Effect.try({
      // Not the lenient decoder: it would put U+FFFD in place of what was sent. A byte order mark goes.
      try: () => ({
        status,
        headers,
        bytes,
        text: new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)),
      }),
      catch: () => ofForeignText(asked, status, bytes),
    }),
  )
}

const isEmptyBody = (error: HttpClientError | Failure): boolean =>
  "reason" in error && error.reason === "EmptyBody"
