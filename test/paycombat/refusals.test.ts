import { inspect } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, LogLevel, Redacted, Tracer } from "effect"
import { PAGE_BOUNDS } from "../../src/paycombat/client/bounds.ts"
import { against, ok, PATH, played, type Reply, TOKEN, text } from "./played.ts"

describe("a request with a permanent answer is not repeated:", () => {
  it.effect("401 stops the account", () =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(() => text("", { status: 401 }), { name: "apac-2" })
      const error = yield* Effect.flip(played(client.get(PATH)))
      expect(error._tag).toBe("AccountError")
      expect(error.message).toContain("PAYCOMBAT_TOKEN_APAC_2")
      expect(sent).toHaveLength(1)
    }),
  )

  const error = (message: unknown) =>
    Response.json({ success: false, error: { code: 4001, name: "X", message } })
  const asStatus = (status: number, response: Response) => new Response(response.body, { status })
  const cases: ReadonlyArray<readonly [string, () => Response, string, string]> = [
    ["403", () => text("", { status: 403 }), "refused", "this token may not read this endpoint"],
    ["404", () => text("", { status: 404 }), "refused", "nothing at this path"],
    ["400", () => asStatus(400, error("no such id")), "refused", "refused with 400 (4001 X)"],
    ["an HTML error page", () => text("<html>no</html>", { status: 404 }), "refused", "nothing at this path"],
    [
      "a redirect",
      () => text("", { status: 302, headers: { location: "https://elsewhere.example/" } }),
      "refused",
      "PAYCOMBAT_BASE_URL",
    ],
    ["HTML", () => text(" <!doctype html><title>Login"), "malformed", "answered HTML, not JSON (28 bytes)"],
    ["no JSON", () => text("Héllo"), "malformed", "answered not JSON (6 bytes)"],
    ["another encoding", () => new Response(Uint8Array.of(34, 0xe9, 34)), "malformed", "not UTF-8 (3 bytes)"],
    ["UTF-16", () => new Response(Buffer.from('\ufeff{"data":[]}', "utf16le")), "malformed", "not UTF-8"],
    [
      "status: false",
      () => Response.json({ status: false, message: "No." }),
      "failed",
      "failed although HTTP says 200",
    ],
    [
      "success: false inside",
      () =>
        Response.json({
          status: true,
          data: { success: false, status_code: 400, error: { name: "BAD_REQUEST", message: ["No."] } },
        }),
      "failed",
      "failed although HTTP says 200 (400 BAD_REQUEST)",
    ],
    [
      "success: false inside, with a list",
      () =>
        Response.json({
          status: true,
          message: "OK",
          data: { success: false, message: "try later", data: [] },
        }),
      "failed",
      "failed although HTTP says 200",
    ],
  ]
  it.effect.each(cases)("%s", ([, reply, reason, message]) =>
    Effect.gen(function* () {
      const { client, sent } = yield* against(reply)
      const failure = yield* Effect.flip(played(client.get(PATH)))
      expect(failure).toMatchObject({ _tag: "EndpointError", reason, path: PATH })
      expect(failure.message).toContain(message)
      expect(failure.message).toMatch(/: [^:]*(ask PayCombat|check that PAYCOMBAT_BASE_URL)[^:]*$/)
      expect(failure.message).not.toMatch(/\n/)
      expect(failure.message.length).toBeLessThan(400)
      expect(sent).toHaveLength(1)
    }),
  )

  it.effect("a body over the bound is not read to its end", () =>
    Effect.gen(function* () {
      let given = 0
      const endless = new ReadableStream({
        pull: controller => {
          given += 2 ** 20
          controller.enqueue(new Uint8Array(2 ** 20))
        },
      })
      const { client } = yield* against(() => new Response(endless))
      const failure = yield* Effect.flip(played(client.get(PATH)))
      expect(failure).toMatchObject({ reason: "malformed" })
      expect(failure.message).toMatch(/more than 5 MiB.*: lower PAYCOMBAT_PAGE_SIZE$/)
      expect(given).toBeLessThan(PAGE_BOUNDS.bytes + 4 * 2 ** 20)
    }),
  )
})

describe("a success in an unusual form", () => {
  const dressed: ReadonlyArray<readonly [string, () => Response]> = [
    ["as HTML", () => text('{"data":["é"]}', { headers: { "content-type": "text/html" } })],
    ["without a type", () => new Response(new TextEncoder().encode('{"data":["é"]}'))],
    ["with a byte order mark", () => text('\ufeff{"data":["é"]}')],
    [
      "as Latin-1",
      () => text('{"data":["é"]}', { headers: { "content-type": "text/plain; charset=latin1" } }),
    ],
  ]
  it.effect.each(dressed)("%s is read", ([, reply]) =>
    Effect.gen(function* () {
      const { client } = yield* against(reply)
      expect((yield* played(client.get(PATH))).body).toEqual({ data: ["é"] })
    }),
  )
})

describe("large answers", () => {
  const BODY_BYTES = 4 * 2 ** 20

  it.effect("are read one at a time beyond their first megabytes, and each has an end", () =>
    Effect.gen(function* () {
      let held = 0
      let most = 0
      const body = () => {
        let given = 0
        return new ReadableStream(
          {
            pull: controller => {
              if (given === BODY_BYTES) return controller.close()
              given += 2 ** 20
              held += 2 ** 20
              most = Math.max(most, held)
              // Once it is whole, its reader has let go of it.
              if (given === BODY_BYTES) held -= BODY_BYTES
              controller.enqueue(new Uint8Array(2 ** 20).fill(0x78))
            },
          },
          { highWaterMark: 0 },
        )
      }
      const { client, sent } = yield* against(() => new Response(body()), { ratePerSecond: 1_000 })
      const calls = Array.from({ length: 6 }, () => Effect.flip(client.get(PATH, {}, { attempts: 1 })))
      const errors = yield* played(Effect.all(calls, { concurrency: "unbounded" }))
      expect(sent).toHaveLength(6)
      for (const error of errors) expect(error.message).toContain(`(${BODY_BYTES} bytes)`)
      expect(most).toBeLessThan(BODY_BYTES + 2 * 5 * 2 ** 20)
      expect(most).toBeGreaterThanOrEqual(BODY_BYTES)
    }),
  )

  it.effect("with a stated length over the bound are not read at all", () =>
    Effect.gen(function* () {
      let given = 0
      const body = new ReadableStream({ pull: () => void given++ }, { highWaterMark: 0 })
      const { client } = yield* against(
        () => new Response(body, { headers: { "content-length": String(PAGE_BOUNDS.bytes + 1) } }),
      )
      const failure = yield* Effect.flip(played(client.get(PATH)))
      expect(failure).toMatchObject({ reason: "malformed" })
      expect(given).toBe(0)
    }),
  )
})

describe("no message quotes the API's sentences, because they may name a person:", () => {
  const says = "bad wallet, phone +4915112345678 of John Doe"
  const bodies: ReadonlyArray<readonly [string, number, object]> = [
    ["upstream's error", 400, { success: false, error: { code: 400, name: "BAD_WALLET", message: says } }],
    ["an error of several", 404, { success: false, error: { message: [says, says] } }],
    ["an error that is a text", 422, { status: false, error: says }],
    ["a name that is a sentence", 400, { success: false, error: { code: says, name: says } }],
    ["a message alone", 403, { message: says }],
    ["a failure under 200", 200, { status: false, message: says }],
    ["an inner one", 200, { status: true, data: { success: false, message: says, data: null } }],
    ["one that is asked again", 500, { success: false, error: { message: says } }],
  ]
  it.effect.each(bodies)("%s", ([, status, body]) =>
    Effect.gen(function* () {
      const { client } = yield* against(() => Response.json(body, { status }))
      const failure = yield* Effect.flip(played(client.get(`${PATH}/a`)))
      expect(failure._tag).toBe("EndpointError")
      expect(JSON.stringify([failure, failure.message, inspect(failure)])).not.toMatch(/phone|4915|John|Doe/)
    }),
  )
})

describe("the token", () => {
  it.effect("is in no error, log or span, and no trace context goes to the API", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const logger = Logger.make(({ message, cause, annotations }) => {
        seen.push(inspect([message, Cause.pretty(cause), [...annotations]]))
      })
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const attributes = new Map<string, unknown>()
          seen.push(name)
          return {
            _tag: "Span",
            name,
            spanId: "1",
            traceId: "2",
            parent,
            context,
            status: { _tag: "Started", startTime },
            attributes,
            links,
            sampled: true,
            kind,
            end: (_, exit) =>
              seen.push(inspect([...attributes]), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""),
            attribute: (key, value) => attributes.set(key, value),
            event: event => seen.push(event),
            addLinks: () => {},
          }
        },
        context: run => run(),
      })
      const replies: ReadonlyArray<Reply> = [
        "reset",
        text(`{"message":"bad token ${TOKEN}"}`, { status: 500 }),
        Response.json({ error: { message: `bad token ${TOKEN}` } }, { status: 400 }),
        text(TOKEN),
        text("", { status: 401 }),
      ]
      const { client, sent } = yield* against(n => replies[n - 1]!)
      for (let calls = 0; calls < 3; calls++) {
        const exit = yield* played(Effect.exit(Effect.withSpan(client.get(PATH), "test"))).pipe(
          Effect.withTracer(tracer),
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All),
        )
        const failure = yield* Effect.flip(exit)
        const cause = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
        seen.push(cause, failure.message, JSON.stringify(failure), inspect(exit))
      }
      expect(sent).toHaveLength(replies.length)
      expect(seen.join("\n")).toContain("'url.template', '/api/v1/things'")
      expect(seen.join("\n")).not.toContain(".header.")
      expect(seen.join("\n")).not.toContain(TOKEN)
      expect(Object.keys(sent[0]!.headers).sort()).toEqual(["accept", "x-token"])
    }),
  )

  it.effect.each(["", "two words", "line\nbreak", "umläut"])(
    "that a header cannot carry is not sent: %j",
    token =>
      Effect.gen(function* () {
        const { client, sent } = yield* against(() => ok(), { token: Redacted.make(token) })
        const error = yield* Effect.flip(client.get(PATH))
        expect(error._tag).toBe("AccountError")
        expect(error.message).toContain("PAYCOMBAT_TOKEN holds")
        expect(sent).toHaveLength(0)
      }),
  )
})
