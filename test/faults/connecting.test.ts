import { readFileSync } from "node:fs"
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import { createSecureContext, TLSSocket } from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, type Scope } from "effect"
import { inject } from "vitest"
import { connect } from "../../src/postgres/connect.ts"
import { embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { runQuery } from "../../src/warehouse/read/query.ts"
import { cli, linesOf } from "../support/cli.ts"
import { PROJECT } from "../support/package.ts"
import { temporaryDirectory, testDatabase } from "../support/postgres.ts"
import { MIGRATED } from "../support/warehouse.ts"

/** How a given address leads to a server, or ends in an error, soon. */

const TLS = join(PROJECT, "test/fixtures/tls")
const key = readFileSync(join(TLS, "key.pem"))
/** Long enough for a busy machine, and much shorter than the bound of a host that does not answer. */
const SOON = "10 seconds"
const SSL_REQUEST_BYTES = 8
/** Nothing listens there. */
const NOBODY_PORT = 1

const listening = (onClient: (client: Socket) => void, at: string | { host: string; port: number }) =>
  Effect.acquireRelease(
    Effect.async<Server>(resume => {
      const server = createServer(client => {
        client.on("error", () => undefined)
        onClient(client)
      })
      server.listen(at, () => resume(Effect.succeed(server)))
    }),
    server => Effect.sync(() => server.close()),
  )

const LOOPBACK = { host: "127.0.0.1", port: 0 }
const portOf = (server: Server) => (server.address() as AddressInfo).port

const pipe = (a: Socket, b: Socket) => {
  for (const end of [a, b]) end.on("error", () => undefined)
  a.pipe(b).on("close", () => a.destroy())
  b.pipe(a).on("close", () => b.destroy())
}

/** Another way to the test's server: at a place of its own, with TLS where a certificate is named. */
const forwarder = (
  url: Redacted.Redacted,
  at: string | { host: string; port: number } = LOOPBACK,
  certificate?: "ip" | "name",
): Effect.Effect<Server, never, Scope.Scope> => {
  const { hostname, port } = new URL(Redacted.value(url))
  const toServer = (client: Socket) => pipe(client, connectSocket(Number(port), hostname))
  if (certificate === undefined) return listening(toServer, at)
  const secureContext = createSecureContext({ key, cert: readFileSync(join(TLS, `${certificate}.pem`)) })
  return listening(
    client =>
      client.once("readable", () => {
        client.read(SSL_REQUEST_BYTES)
        client.write("S", () => toServer(new TLSSocket(client, { isServer: true, secureContext })))
      }),
    at,
  )
}

/** A message of a server's: its letter, its length, its body. */
const message = (letter: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5)
  head.write(letter)
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

/** A server that lets everybody in, and answers nothing after that. */
const mute = listening(client => {
  client.once("data", () =>
    client.write(Buffer.concat([message("R", Buffer.alloc(4)), message("Z", Buffer.from("I"))])),
  )
}, LOOPBACK)

/** The test's server, whose pg_hba.conf lets no login in by TLS. */
const plainOnly = (url: Redacted.Redacted) => {
  const { hostname, port } = new URL(Redacted.value(url))
  const secureContext = createSecureContext({ key, cert: readFileSync(join(TLS, "name.pem")) })
  const refusal = message(
    "E",
    Buffer.from("SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for this host, SSL encryption\0\0"),
  )
  return listening(client => {
    client.once("data", first => {
      if (first.length === SSL_REQUEST_BYTES) {
        client.write("S", () => {
          const secure = new TLSSocket(client, { isServer: true, secureContext })
          secure.on("error", () => undefined).once("data", () => secure.end(refusal))
        })
        return
      }
      const server = connectSocket(Number(port), hostname)
      server.write(first)
      pipe(client, server)
    })
  }, LOOPBACK)
}

/** The same login and database, by another host part and query. */
const by = (url: Redacted.Redacted, hosts: string, query = ""): Redacted.Redacted => {
  const { username, password, pathname } = new URL(Redacted.value(url))
  return Redacted.make(`postgres://${username}:${password}@${hosts}${pathname}${query && `?${query}`}`)
}

/** Which database answers at an address. */
const answering = (url: Redacted.Redacted) =>
  Effect.scoped(
    Effect.flatMap(connect(url), sql =>
      Effect.promise(async () => (await sql`SELECT current_database() AS name`)[0]!.name as string),
    ),
  )

const refusal = (url: Redacted.Redacted) => Effect.timeout(Effect.flip(answering(url)), SOON)

describe("several hosts", () => {
  it.scopedLive("that all do not answer are an error that names each, for the owner and for the reader", () =>
    Effect.gen(function* () {
      const url = Redacted.make(`postgres://u@127.0.0.1:${NOBODY_PORT},127.0.0.2:${NOBODY_PORT}/db`)
      const error = yield* refusal(url)
      expect(error.message).toMatch(/127\.0\.0\.1:1.*127\.0\.0\.2:1/)
      const reader = yield* Effect.timeout(Effect.flip(runQuery(url, "SELECT 1")), SOON)
      expect(reader.message).toMatch(/ECONNREFUSED/)
    }),
  )

  it.scopedLive(
    "are tried in their order: the first that answers is used, even if others would answer, too",
    () =>
      Effect.gen(function* () {
        const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
        const { port } = new URL(Redacted.value(ownerUrl))
        const silent = portOf(yield* listening(client => client.destroy(), LOOPBACK))
        const hosts = `127.0.0.1:${NOBODY_PORT},127.0.0.1:${silent},127.0.0.1:${port}`
        expect(yield* answering(by(ownerUrl, hosts))).toMatch(/^test_/)
        const asked = yield* runQuery(by(readerUrl, hosts), "SELECT 1 AS one")
        expect(asked.rows).toEqual([["1"]])
      }),
  )

  it.scopedLive("are not tried in turn with a login that the first one refuses", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const { port } = new URL(Redacted.value(ownerUrl))
      const wrong = by(ownerUrl, `127.0.0.1:${port},127.0.0.1:${NOBODY_PORT}`, "password=wrong")
      const error = yield* refusal(wrong)
      expect(error.message).toContain("28P01")
    }),
  )

  it.scopedLive.each([
    { attributes: "any", isTaken: true },
    { attributes: "primary", isTaken: true },
    { attributes: "read-write", isTaken: true },
    { attributes: "prefer-standby", isTaken: true },
    { attributes: "standby", isTaken: false },
    { attributes: "read-only", isTaken: false },
  ] as const)("with target_session_attrs=$attributes take a primary: $isTaken", ({ attributes, isTaken }) =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const { host } = new URL(Redacted.value(ownerUrl))
      const url = by(ownerUrl, host, `target_session_attrs=${attributes}`)
      if (isTaken) expect(yield* answering(url)).toMatch(/^test_/)
      else
        expect((yield* refusal(url)).message).toMatch(
          new RegExp(`is not ${attributes}.*target_session_attrs`),
        )
    }),
  )
})

describe.concurrent("a server", () => {
  it.scopedLive("at a socket is found by its directory, in either spelling", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const directory = yield* temporaryDirectory
      yield* forwarder(ownerUrl, join(directory, ".s.PGSQL.5433"))
      const encoded = encodeURIComponent(directory)
      expect(yield* answering(by(ownerUrl, `${encoded}:5433`))).toMatch(/^test_/)
      expect(yield* answering(by(ownerUrl, "", `host=${encoded}&port=5433`))).toMatch(/^test_/)
    }),
  )

  const hasIpv6 = Object.values(networkInterfaces()).some(all =>
    all?.some(({ address }) => address === "::1"),
  )
  // Skipped, and counted as such, on a machine without IPv6.
  it.scopedLive.skipIf(!hasIpv6)("at an IPv6 address is found in brackets", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const port = portOf(yield* forwarder(ownerUrl, { host: "::1", port: 0 }))
      expect(yield* answering(by(ownerUrl, `[::1]:${port}`))).toMatch(/^test_/)
    }),
  )

  it.scopedLive(
    "that accepts connections and stays silent is given up in time, and at once on a signal",
    () =>
      Effect.gen(function* () {
        const port = portOf(yield* listening(() => undefined, LOOPBACK))
        const url = (query: string) =>
          Redacted.make(`postgres://u@127.0.0.1:${port},127.0.0.1:${port}/db?${query}`)
        for (const query of ["connect_timeout=2", "connect_timeout=2&sslmode=disable"])
          expect((yield* refusal(url(query))).message).toContain("CONNECT_TIMEOUT")
        const connecting = yield* Effect.fork(answering(url("connect_timeout=600")))
        yield* Effect.sleep("300 millis")
        const end = yield* Effect.timeout(Fiber.interrupt(connecting), SOON)
        expect(end._tag).toBe("Failure")
      }),
  )

  it.scopedLive.each([
    { query: "sslmode=disable", hosts: 1 },
    { query: "sslmode=disable", hosts: 3 },
    { query: "sslmode=disable&target_session_attrs=read-write", hosts: 1 },
    { query: "sslmode=disable&target_session_attrs=read-write", hosts: 2 },
  ])("that lets a login in and answers nothing is given up in time with $hosts hosts and '$query'", given =>
    Effect.gen(function* () {
      const port = portOf(yield* mute)
      const hosts = Array(given.hosts).fill(`127.0.0.1:${port}`).join(",")
      const url = Redacted.make(`postgres://u@${hosts}/db?connect_timeout=2&${given.query}`)
      const from = performance.now()
      expect((yield* refusal(url)).message).toContain("CONNECT_TIMEOUT")
      expect(performance.now() - from).toBeLessThan((2 * given.hosts + 2) * 1_000)
      const reader = yield* Effect.timeout(Effect.flip(runQuery(url, "SELECT 1")), SOON)
      expect(reader.message).toContain("CONNECT_TIMEOUT")
    }),
  )

  it.scopedLive.each(["", "&target_session_attrs=primary"])(
    "that lets a login in and answers nothing does not keep a command from ending when it is told to: '%s'",
    query =>
      Effect.gen(function* () {
        const port = portOf(yield* mute)
        const program = yield* cli({
          DATABASE_URL: `postgres://u@127.0.0.1:${port}/db?connect_timeout=600&sslmode=disable${query}`,
        })
        const running = yield* program.start(["sync"], { PAYCOMBAT_TOKEN: "token" })
        yield* Effect.sleep("2 seconds")
        expect((yield* Effect.timeout(running.stop("SIGTERM"), SOON)).code).toBe(143)
      }),
  )

  it.scopedLive.each([
    { said: "a message of length 0", answer: Buffer.from("R\0\0\0\0\0\0\0\0", "latin1") },
    { said: "a message of a negative length", answer: Buffer.from("R\xff\xff\xff\xfb", "latin1") },
    { said: "a message about the login without a kind", answer: message("R", Buffer.alloc(0)) },
    { said: "an answer of HTTP", answer: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") },
    {
      said: "two milliards of rounds of hashing",
      answer: message("R", Buffer.from("\0\0\0\x0br=x,s=QUJD,i=2000000000", "latin1")),
    },
  ])("that answers the login with $said is refused in one line", ({ answer }) =>
    Effect.gen(function* () {
      const sasl = message("R", Buffer.from("\0\0\0\x0aSCRAM-SHA-256\0\0", "latin1"))
      const isAboutHashing = answer.includes("i=")
      const server = yield* listening(client => {
        let isAsked = false
        client.on("data", () => {
          client.write(isAboutHashing && !isAsked ? sasl : answer)
          isAsked = true
        })
      }, LOOPBACK)
      const program = yield* cli({
        DATABASE_URL: `postgres://u:p@127.0.0.1:${portOf(server)}/db?sslmode=disable&connect_timeout=5`,
      })
      const ended = yield* Effect.timeout(program.run(["migrate"]), "30 seconds")
      expect(ended.code).not.toBe(0)
      expect(linesOf(ended.stderr)).toEqual([
        expect.stringMatching(/The server .*\(NOT_POSTGRES\): check host and port of DATABASE_URL/),
      ])
    }),
  )

  it.scopedLive("that stays silent does not keep a command from ending on a signal", () =>
    Effect.gen(function* () {
      let clients = 0
      const server = yield* listening(() => {
        clients += 1
      }, LOOPBACK)
      const program = yield* cli({
        DATABASE_URL: `postgres://u@127.0.0.1:${portOf(server)}/db?connect_timeout=600`,
      })
      const running = yield* program.start(["migrate"])
      while (clients === 0) yield* Effect.sleep("20 millis")
      expect((yield* Effect.timeout(running.stop("SIGTERM"), SOON)).code).toBe(143)
    }),
  )
})

describe("TLS", () => {
  const CA = (certificate: string) => `sslrootcert=${encodeURIComponent(join(TLS, `${certificate}.pem`))}`
  /** An address of a server that has this certificate. */
  const tls = (certificate: "ip" | "name", host: string, query: string) =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const port = portOf(yield* forwarder(ownerUrl, LOOPBACK, certificate))
      return by(ownerUrl, `${host}:${port}`, query.replace("CA", CA(certificate)))
    })

  it.scopedLive.each([
    { certificate: "ip", host: "127.0.0.1", query: "sslmode=verify-full&CA" },
    { certificate: "name", host: "localhost", query: "sslmode=verify-full&CA" },
    { certificate: "name", host: "localhost", query: "sslmode=verify-full&CA&hostaddr=127.0.0.1" },
    { certificate: "name", host: "127.0.0.1", query: "sslmode=verify-ca&CA" },
    { certificate: "name", host: "127.0.0.1", query: "sslmode=require" },
    { certificate: "name", host: "127.0.0.1", query: "sslmode=prefer" },
    { certificate: "name", host: "127.0.0.1", query: "" },
  ] as const)("takes a certificate for $certificate at $host with '$query'", ({ certificate, host, query }) =>
    Effect.flatMap(tls(certificate, host, query), url =>
      Effect.map(answering(url), database => expect(database).toMatch(/^test_/)),
    ),
  )

  it.scopedLive.each([
    { certificate: "name", host: "127.0.0.1", query: "sslmode=verify-full&CA", expected: /ALTNAME/ },
    { certificate: "ip", host: "localhost", query: "sslmode=verify-full&CA", expected: /ALTNAME/ },
    { certificate: "ip", host: "127.0.0.1", query: "sslmode=verify-full", expected: /SELF_SIGNED/ },
    { certificate: "ip", host: "127.0.0.1", query: "sslmode=verify-ca", expected: /SELF_SIGNED/ },
    { certificate: "ip", host: "127.0.0.1", query: `sslmode=require&${CA("name")}`, expected: /TLS failed/ },
    { certificate: "ip", host: "127.0.0.1", query: "sslrootcert=/none.pem", expected: /sslrootcert.*ENOENT/ },
  ] as const)("refuses a certificate for $certificate at $host with '$query'", given =>
    Effect.flatMap(tls(given.certificate, given.host, given.query), url =>
      Effect.map(refusal(url), error => expect(error.message).toMatch(given.expected)),
    ),
  )

  it.scopedLive.each([
    { mode: "require", isTaken: false },
    { mode: "verify-full", isTaken: false },
    { mode: "prefer", isTaken: true },
    { mode: "allow", isTaken: true },
    { mode: "disable", isTaken: true },
  ] as const)("with sslmode=$mode is done without where the server has none: $isTaken", ({ mode, isTaken }) =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const url = by(ownerUrl, new URL(Redacted.value(ownerUrl)).host, `sslmode=${mode}`)
      if (isTaken) expect(yield* answering(url)).toMatch(/^test_/)
      else expect((yield* refusal(url)).message).toMatch(/has no TLS, which sslmode/)
    }),
  )
})

describe("a server that lets a login in without TLS only", () => {
  it.scopedLive("is reached with sslmode=prefer, as libpq does it, and not with sslmode=require", () =>
    Effect.gen(function* () {
      const { ownerUrl } = yield* testDatabase()
      const port = portOf(yield* plainOnly(ownerUrl))
      for (const query of ["", "sslmode=prefer"])
        expect(yield* answering(by(ownerUrl, `127.0.0.1:${port}`, query))).toMatch(/^test_/)
      expect((yield* refusal(by(ownerUrl, `127.0.0.1:${port}`, "sslmode=require"))).message).toContain(
        "28000",
      )
    }),
  )
})

describe("variables of other programs", () => {
  it.scopedLive("have no effect, neither on a given server nor on the embedded one", () =>
    Effect.gen(function* () {
      const { ownerUrl, readerUrl } = yield* testDatabase({ template: MIGRATED })
      const theirs = {
        PGTARGETSESSIONATTRS: "standby",
        PGSSL: "require",
        PGHOST: "nowhere.invalid",
        PGPORT: "1",
        PGPASSWORD: "wrong",
        PGUSER: "wrong",
        PGDATABASE: "wrong",
        PGMAX: "0",
        PGFETCH_TYPES: "true",
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => Object.assign(process.env, theirs)),
        () =>
          Effect.sync(() => {
            for (const variable of Object.keys(theirs)) delete process.env[variable]
          }),
      )
      expect(yield* answering(ownerUrl)).toMatch(/^test_/)
      expect((yield* runQuery(readerUrl, "SELECT 1 AS one")).rows).toEqual([["1"]])
      const server = yield* embeddedPostgres(join(inject("postgresDirectory"), "18"))
      expect(server.port).toBeGreaterThan(0)
      expect(process.env).toMatchObject(theirs)
    }),
  )
})
