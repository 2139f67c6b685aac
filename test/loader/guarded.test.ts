import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { DROP, KEEP } from "../../src/core/privacy.ts"
import { redacting, type Stream } from "../../src/core/stream.ts"
import { allStreams } from "../../src/registry.ts"
import type { loadBatch } from "../../src/warehouse/load/loader.ts"
import { listStream } from "../support/warehouse.ts"

type Loaded = Parameters<typeof loadBatch>[2]

/** Calls that `tsc` checks: a stream that did not go through `redacting` cannot be loaded. */
export const loads = (stream: Stream): ReadonlyArray<Loaded> => [
  redacting(stream, KEEP),
  // @ts-expect-error a declared stream says nothing about the mode of privacy
  stream,
  // @ts-expect-error a function of that name does not make it one that may be loaded
  { ...stream, redact: record => record },
]

it.live("a stream can be loaded only after its mode of privacy was chosen", () =>
  Effect.gen(function* () {
    const streams = yield* allStreams
    expect(streams.filter(stream => "redact" in stream)).toEqual([])
    expect(
      redacting(yield* listStream("payouts"), DROP).redact({ id: "p1", payee_name: "Jane Doe" }),
    ).toEqual({
      id: "p1",
      payee_name: null,
    })
  }),
)
