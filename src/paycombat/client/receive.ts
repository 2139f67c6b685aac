import type { HttpClientError } from "@effect/platform/HttpClientError"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import { Effect, Either, type Scope, Stream } from "effect"
import { type AnswerBounds, ERROR_BODY_BYTES, LARGE_BODIES_MAX, LARGE_BODY_BYTES } from "./bounds.ts"
import {
  type Failure,
  largeAnswerFailure,
  notUtf8Failure,
  type RequestInfo,
  transportFailure,
} from "./failures.ts"
import { placeIn } from "./places.ts"
import type { Received } from "./response.ts"
import type { Stopwatch } from "./stopwatch.ts"

export interface Body {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly content: Uint8Array
  readonly bytes: number
}

/** Slots for large bodies, over all accounts, because they are held completely until they are parsed. */
const large = Effect.unsafeMakeSemaphore(LARGE_BODIES_MAX)

/** First size of a body's buffer, which doubles as the body grows. */
const FIRST_ROOM_BYTES = 16 * 2 ** 10

/** One buffer for all pieces: a list of them takes a hundred times the memory if a body comes byte by byte. */
const makeCollected = (bytesMax: number) => {
  let room = new Uint8Array(FIRST_ROOM_BYTES)
  let length = 0
  return {
    add: (piece: Uint8Array) => {
      const needed = length + piece.byteLength
      if (needed > room.byteLength) {
        const larger = new Uint8Array(Math.max(needed, Math.min(bytesMax, 2 * room.byteLength)))
        larger.set(room.subarray(0, length))
        room = larger
      }
      room.set(piece, length)
      length = needed
    },
    drop: () => {
      length = 0
      room = new Uint8Array(0)
    },
    content: () => room.subarray(0, length),
  }
}

/**
 * Reads a body up to its bound on unpacked bytes. An error longer than its own bound counts as having no body. A large
 * body waits for others, while the stopwatch stands still, and keeps its slot until the scope ends.
 */
export const receive = (
  request: RequestInfo,
  response: HttpClientResponse,
  bounds: AnswerBounds,
  stopwatch: Stopwatch,
): Effect.Effect<Body, Failure, Scope.Scope> => {
  const { status, headers } = response
  const isSuccess = status >= 200 && status < 300
  const tooLarge = Effect.failSync(() =>
    largeAnswerFailure(request, bounds, `${bounds.bytes / 2 ** 20} MiB`, status),
  )
  if (isSuccess && Number(headers["content-length"]) > bounds.bytes) return tooLarge
  let bytes = 0
  let isLarge = false
  const collected = makeCollected(bounds.bytes)
  const take = (piece: Uint8Array): Effect.Effect<boolean, Failure, Scope.Scope> => {
    bytes += piece.byteLength
    if (!isSuccess && bytes > ERROR_BODY_BYTES) {
      collected.drop()
      return Effect.succeed(false)
    }
    if (bytes > bounds.bytes) return tooLarge
    collected.add(piece)
    if (bytes <= LARGE_BODY_BYTES || isLarge) return Effect.succeed(true)
    isLarge = true
    return Effect.as(stopwatch.stoppedFor(placeIn(large)), true)
  }
  return response.stream.pipe(
    Stream.mapEffect(take),
    Stream.takeWhile(goesOn => goesOn),
    Stream.runDrain,
    // 204, and every other answer without a body, is complete.
    Effect.catchIf(isEmptyBody, () => Effect.void),
    Effect.mapError((error: HttpClientError | Failure) =>
      "isTransient" in error ? error : transportFailure(request, error),
    ),
    Effect.map(() => ({ status, headers, bytes, content: collected.content() })),
  )
}

/** Decodes a body strictly: the lenient decoder would replace sent bytes by U+FFFD. Removes a byte order mark. */
export const textOf = (
  request: RequestInfo,
  { content, status, headers, bytes }: Body,
): Either.Either<Received, Failure> =>
  Either.try({
    try: () => ({
      status,
      headers,
      bytes,
      text: new TextDecoder("utf-8", { fatal: true }).decode(content),
    }),
    catch: () => notUtf8Failure(request, status, bytes),
  })

const isEmptyBody = (error: HttpClientError | Failure): boolean =>
  "reason" in error && error.reason === "EmptyBody"
