import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { boundedClient } from "../../src/doctor/api/bounded.ts"
import { Usage } from "../../src/paycombat/client/client.ts"
import { clientOf, startSandbox } from "./support.ts"

const LIST = "/api/v1/customer/get-all"

/** With a count of its own: without one, all of a process is counted together. */
const counted = Effect.provideService(Usage, { requests: 0, retries: 0 })

describe("a bounded client", () => {
  it.scopedLive("sends no more than its requests, and says so without sending", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const usage = { requests: 0, retries: 0 }
      const client = boundedClient(yield* clientOf(sandbox), 3)
      const ask = Effect.provideService(client.get(LIST), Usage, usage)
      for (let n = 0; n < 3; n++) yield* ask
      expect(yield* Effect.flip(ask)).toMatchObject({
        _tag: "EndpointError",
        reason: "unavailable",
        message: expect.stringMatching(/^not asked: 3 requests were spent before; set PAYCOMBAT_PATH_/),
      })
      expect([usage.requests, sandbox.requests.total]).toEqual([3, 3])
    }),
  )

  it.scopedLive("stops asking if the API no longer answers, and not before", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      let isAway = true
      sandbox.setFault(() => (isAway ? { status: 503, body: {} } : undefined))
      const client = boundedClient(yield* clientOf(sandbox), 1_000)
      const once = counted(client.get(LIST, {}, { attempts: 1 }))
      yield* Effect.flip(once)
      yield* Effect.flip(once)
      isAway = false
      yield* once
      isAway = true
      for (let n = 0; n < 3; n++) yield* Effect.flip(once)
      isAway = false
      expect(yield* Effect.flip(once)).toMatchObject({ reason: "unavailable", status: 503 })
      expect(sandbox.requests.total).toBe(6)
    }),
  )

  it.scopedLive("tries a call twice, not as often as a run does; a refusal once", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const client = boundedClient(yield* clientOf(sandbox), 1_000)
      const ask = counted(client.get(LIST))
      sandbox.setFault(() => ({ status: 503, body: {} }))
      yield* Effect.flip(ask)
      expect(sandbox.requests.total).toBe(2)
      sandbox.setFault(() => ({ status: 404, body: {} }))
      yield* Effect.flip(ask)
      expect(sandbox.requests.total).toBe(3)
    }),
  )
})
