import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, TestClock } from "effect"
import { PAGE_BOUNDS } from "../../src/paycombat/client/bounds.ts"
import { makeBudget, PAGE_UNITS, unitsOf } from "../../src/paycombat/client/budget.ts"
import { against, PATH, played, settle } from "./played.ts"

describe("the budget of memory", () => {
  it.effect("admits only pages that fit, in the order of their waiting", () =>
    Effect.gen(function* () {
      const { openTab } = makeBudget(10)
      const [one, other] = [openTab(), openTab()]
      const first = yield* one.take(6)
      const got: Array<string> = []
      const waiting = (name: string, units: number) =>
        Effect.fork(Effect.tap(other.take(units), () => Effect.sync(() => got.push(name))))
      yield* waiting("large", 8)
      yield* waiting("small", 1)
      yield* Effect.yieldNow()
      expect(got).toEqual([])
      yield* first.release
      yield* first.release
      yield* Effect.yieldNow()
      expect(got).toEqual(["large", "small"])
      yield* waiting("beyond", 2)
      yield* Effect.yieldNow()
      expect(got).toEqual(["large", "small"])
      yield* other.close
      yield* Effect.yieldNow()
      expect(got).toEqual(["large", "small", "beyond"])
    }),
  )

  it.effect("gives a page larger than itself the whole budget, and forgets interrupted waiters", () =>
    Effect.gen(function* () {
      const { openTab } = makeBudget(10)
      const tab = openTab()
      const whole = yield* tab.take(1_000)
      expect(whole.units).toBe(10)
      const waiting = yield* Effect.fork(tab.take(5))
      const next = yield* Effect.fork(tab.take(4))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiting)
      yield* whole.release
      expect((yield* Fiber.join(next)).units).toBe(4)
    }),
  )

  it("weighs a body by its bytes or its values, whichever is nearer to its bound", () => {
    const bytesOf = (text: string) => new TextEncoder().encode(text)
    expect(unitsOf(bytesOf(""))).toBe(1)
    expect(unitsOf(bytesOf(`"${"a".repeat(PAGE_BOUNDS.bytes / 2)}"`))).toBe(PAGE_UNITS / 2 + 1)
    expect(unitsOf(bytesOf(`[${"1,".repeat(PAGE_BOUNDS.values / 2)}1]`))).toBe(PAGE_UNITS / 2 + 1)
    expect(unitsOf(bytesOf(`["${'[{,\\"'.repeat(1_000)}"]`))).toBe(1)
    expect(unitsOf(new Uint8Array(PAGE_BOUNDS.bytes * 2))).toBe(PAGE_UNITS)
  })
})

describe("a large answer", () => {
  const mebibytes = (count: number) => JSON.stringify({ status: true, data: ["a".repeat(count * 2 ** 20)] })
  /** A body of so many bytes, the rest of which comes when it is let go. */
  const heldUp = (body: string) => {
    let letGo = () => {}
    const stream = new ReadableStream<Uint8Array>({
      start: controller => {
        const bytes = new TextEncoder().encode(body)
        controller.enqueue(bytes.subarray(0, bytes.length - 1))
        letGo = () => {
          controller.enqueue(bytes.subarray(bytes.length - 1))
          controller.close()
        }
      },
    })
    return { response: new Response(stream), letGo: () => letGo() }
  }

  it.effect("may wait for others longer than its time-out", () =>
    Effect.gen(function* () {
      const held = [heldUp(mebibytes(2)), heldUp(mebibytes(2))]
      const patient = yield* against(n => held[n - 1]!.response, { timeout: Duration.minutes(10) })
      const { client, sent } = yield* against(() => new Response(mebibytes(2)), {
        timeout: Duration.seconds(30),
      })
      const first = yield* Effect.forEach(held, () => Effect.fork(patient.client.get(PATH)))
      for (let n = 0; n < 20; n++) {
        yield* TestClock.adjust("100 millis")
        yield* settle
      }
      const waiting = yield* Effect.fork(client.get(PATH))
      for (let n = 0; n < 20; n++) {
        yield* TestClock.adjust("100 millis")
        yield* settle
      }
      expect(sent).toHaveLength(1)
      yield* TestClock.adjust("5 minutes")
      yield* settle
      for (const { letGo } of held) letGo()
      for (const fiber of first) yield* played(Fiber.join(fiber), "10 millis")
      const answer = yield* played(Fiber.join(waiting), "10 millis")
      expect(answer.bytes).toBeGreaterThan(2 * 2 ** 20)
      expect(sent).toHaveLength(1)
    }),
  )

  it.effect("that comes byte by byte is put together in the memory of its bytes", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({ status: true, data: ["漢".repeat(4_000)] })
      const { client } = yield* against(
        () =>
          new Response(
            new ReadableStream<Uint8Array>({
              start: controller => {
                for (const byte of new TextEncoder().encode(body)) controller.enqueue(Uint8Array.of(byte))
                controller.close()
              },
            }),
          ),
      )
      const answer = yield* played(client.get(PATH))
      expect(answer.body).toEqual(JSON.parse(body))
      expect(answer.bytes).toBe(Buffer.byteLength(body))
    }),
  )
})
