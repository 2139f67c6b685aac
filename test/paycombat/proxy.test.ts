import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { make } from "../../src/paycombat/client/client.ts"
import { ownHttpClient } from "../../src/paycombat/client/http.ts"
import { configuredProxies } from "../../src/paycombat/client/proxy.ts"
import { HIDDEN_HOST, listening, startProxy } from "../support/proxy.ts"
import { accountOf, startSandbox } from "./support.ts"

const PATH = "/api/v1/checkout/get-all"
const hidden = (scheme: "http" | "https") => ({ url: `${scheme}://${HIDDEN_HOST}`, token: "sandbox-token" })

const withVariables = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

/** Asks a server by the program's own HTTP client, with these variables set. */
const asking = (
  server: { readonly url: string; readonly token: string },
  variables: Readonly<Record<string, string>>,
) =>
  Effect.flatMap(make(accountOf(server)), client => client.get(PATH, {}, { attempts: 1 })).pipe(
    Effect.provide(ownHttpClient),
    withVariables(variables),
  )

describe("a proxy of the environment", () => {
  for (const variable of ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]) {
    it.scopedLive(`reaches a host that only the proxy knows: ${variable}`, () =>
      Effect.gen(function* () {
        const sandbox = yield* startSandbox()
        const proxy = yield* startProxy(Number(new URL(sandbox.url).port))
        const address = proxy.address.replace("127.0.0.1", "user%40a:p%C3%A4ss@127.0.0.1")
        const { status, bytes } = yield* asking(hidden("http"), { [variable]: `http://${address}` })
        expect([status, bytes > 1_000]).toEqual([200, true])
        expect(proxy.asked).toEqual([`http://${HIDDEN_HOST}${PATH}`])
        expect(proxy.authorizations).toEqual([`Basic ${Buffer.from("user@a:p\u00e4ss").toString("base64")}`])
      }),
    )
  }

  it.scopedLive("gets only host and port if the API uses TLS, and never the token", () =>
    Effect.gen(function* () {
      const { asked, address } = yield* startProxy(1, 403)
      const error = yield* Effect.flip(asking(hidden("https"), { HTTPS_PROXY: address }))
      expect(asked).toEqual([`CONNECT ${HIDDEN_HOST}:443`])
      expect(error.message).toContain(
        `the proxy ${address} (HTTPS_PROXY) refused the connection with 403: ask the operator of the proxy`,
      )
    }),
  )

  it.scopedLive("that requires a password is named without the given one", () =>
    Effect.gen(function* () {
      const { address } = yield* startProxy(1, 407)
      const variables = { https_proxy: `http://someone:secret@${address}` }
      const error = yield* Effect.flip(asking(hidden("https"), variables))
      expect(error.message).toContain(`the proxy ${address} (https_proxy) refused the connection with 407`)
      expect(error.message).not.toMatch(/someone|secret/)
    }),
  )

  it.scopedLive("that is not there is named", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        asking(hidden("https"), { HTTPS_PROXY: "http://someone:secret@127.0.0.1:9" }),
      )
      expect(error.message).toContain(
        "connection through the proxy 127.0.0.1:9 (HTTPS_PROXY) failed (ECONNREFUSED): ",
      )
      expect(error.message).toContain("check HTTPS_PROXY")
      expect(error.message).not.toMatch(/someone|secret/)
    }),
  )

  it.scopedLive("is not used for loopback, which it could not reach", () =>
    Effect.gen(function* () {
      const sandbox = yield* startSandbox()
      const { asked, address } = yield* startProxy(1)
      expect((yield* asking(sandbox, { HTTP_PROXY: address })).status).toBe(200)
      expect(asked).toEqual([])
    }),
  )

  it.scopedLive("follows no redirect either", () =>
    Effect.gen(function* () {
      const port = yield* listening(
        createServer((_, response) => void response.writeHead(302, { location: "/elsewhere" }).end()),
      )
      const { asked, address } = yield* startProxy(port)
      const error = yield* Effect.flip(asking(hidden("http"), { HTTP_PROXY: address }))
      expect(error.message).toContain("a redirect, which is not followed")
      expect(asked).toHaveLength(1)
    }),
  )
})

describe("NO_PROXY", () => {
  const cases: ReadonlyArray<readonly [string, string, isDirect: boolean]> = [
    ["", "https://api.example", false],
    ["*", "https://api.example", true],
    ["api.example", "https://api.example", true],
    ["example", "https://api.example", true],
    [".example", "https://api.example", true],
    ["*.example", "https://api.example", true],
    ["pi.example", "https://api.example", false],
    ["other, API.example", "https://api.example", true],
    ["other api.example:443", "https://api.example", true],
    ["api.example:8443", "https://api.example", false],
    ["10.0.0.0/8", "https://10.2.3.4", true],
    ["10.0.0.0/8", "https://11.2.3.4", false],
    ["10.0.0.0/99", "https://10.2.3.4", false],
    ["2.3.4", "https://1.2.3.4", false],
    ["::2", "https://[::2]", true],
    ["[::2]", "https://[::2]", true],
    ["[::2]:443", "https://[::2]", true],
    ["[::2]:443", "https://[::2]:8443", false],
    ["[::2]:8443", "https://[::2]:8443", true],
    ["0:0:0:0:0:0:0:2", "https://[::2]", true],
    ["2001:DB8:0::1", "https://[2001:db8::1]", true],
    ["[2001:0db8::0001]:443", "https://[2001:db8:0:0::1]", true],
    ["2001:db8::/32", "https://[2001:db8::1]", true],
    ["2001:db8::/32", "https://[2001:db9::1]", false],
    ["10.0.0.0/8", "https://[2001:db8::1]", false],
    ["10.2.3.4:443", "https://10.2.3.4", true],
    ["10.2.3.4:80", "https://10.2.3.4", false],
    ["api.example.", "https://api.example", true],
    ["api.example", "https://api.example.", true],
    [":443", "https://api.example", false],
    [".", "https://api.example", false],
    ["", "https://localhost:8787", true],
    ["", "https://127.1.2.3", true],
    ["", "https://[::1]", true],
    ["", "http://api.example", true],
  ]
  it.effect.each([...cases])("%s and %s", ([noProxy, address, isDirect]) =>
    Effect.gen(function* () {
      const { of } = yield* configuredProxies
      expect(of(address) === undefined).toBe(isDirect)
    }).pipe(withVariables({ HTTPS_PROXY: "proxy.example:3128", NO_PROXY: noProxy })),
  )
})

it("each variable of a proxy is in the table of docs/configuration.md and in .env.example", () => {
  const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")
  for (const name of ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"]) {
    expect([
      name,
      read("docs/configuration.md")
        .split("\n")
        .some(line => /^\| `/.test(line) && line.split("|")[1]!.includes(`\`${name}\``)),
    ]).toEqual([name, true])
    expect(read(".env.example")).toMatch(new RegExp(`^# ${name}=`, "m"))
  }
})

describe("a proxy that cannot be used", () => {
  it.scopedLive("is passed over in ALL_PROXY, and errors name it without its password", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        asking(hidden("https"), { ALL_PROXY: "socks5h://someone:secret@proxy.example:1080" }),
      )
      expect(error.message).toContain("the proxy in ALL_PROXY (socks5h) speaks no HTTP and is not used")
      expect(error.message).not.toMatch(/someone|secret/)
    }),
  )

  it.effect("in ALL_PROXY does not stand in the way of the one for the protocol", () =>
    Effect.gen(function* () {
      const { of } = yield* configuredProxies
      expect(of("https://api.example")?.label).toBe("proxy.example:3128 (HTTPS_PROXY)")
      expect(of("http://api.example")).toBe(undefined)
    }).pipe(withVariables({ HTTPS_PROXY: "proxy.example:3128", ALL_PROXY: "socks5://proxy.example:1080" })),
  )

  it.effect.each([
    ["socks5://user:secret@proxy.example", "HTTPS_PROXY names a proxy of the kind socks5"],
    ["http://user:secret@", "HTTPS_PROXY is not an address"],
  ])("is refused by its variable: %s", ([value, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(configuredProxies)
      expect(error).toMatchObject({ _tag: "ConfigurationError" })
      expect(error.message).toContain(message)
      expect(error.message).not.toContain("secret")
    }).pipe(withVariables({ HTTPS_PROXY: value! })),
  )
})
