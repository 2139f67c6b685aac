import type { HttpClientError } from "@effect/platform/HttpClientError"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import { Effect, type Scope, Stream } from "effect"
import { type Asked, type Failure, ofForeignText, ofLargeBody, ofTransport, type Received } from "./answer.ts"

/** The body of an answer, in bounds: what a server sends must not decide how much memory it takes. */

/** An answer larger than this, unpacked, is not read to its end. A page of 1,000 records is some 1 MiB. */
export const BODY_LIMIT_BYTES = 64 * 2 ** 20
/** Answers that grow beyond this are read one at a time: as many as may be under way would be half a gigabyte. */
const LARGE_BODY_BYTES = 8 * 2 ** 20

/** Reads a body up to the bound, which is on what fetch unpacks: a small body may become a large one. */
export const receive = (
  asked: Asked,
  response: HttpClientResponse,
  large: Effect.Semaphore,
): Effect.Effect<Received, Failure, Scope.Scope> => {
  const { status, headers } = response
  const tooLarge = Effect.fail(ofLargeBody(asked, BODY_LIMIT_BYTES, status))
  if (Number(headers["content-length"]) > BODY_LIMIT_BYTES) return tooLarge
  let bytes = 0
  let isLarge = false
  const chunks: Array<Uint8Array> = []
  const read = Stream.runForEach(response.stream, chunk => {
    bytes += chunk.byteLength
    if (bytes > BODY_LIMIT_BYTES) return tooLarge
    chunks.push(chunk)
    if (bytes <= LARGE_BODY_BYTES || isLarge) return Effect.void
    isLarge = true
    return Effect.uninterruptibleMask(restore =>
      Effect.zipRight(
        restore(large.take(1)),
        Effect.addFinalizer(() => large.release(1)),
      ),
    )
  }).pipe(
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
