import { userInfo } from "node:os"
import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect, Either, Option } from "effect"
import * as fc from "fast-check"
import * as Config from "../src/config/config.ts"
import { parseAddress } from "../src/postgres/address.ts"

/** Addresses are read as libpq reads them; where they are not, one line names the parameter. */

const read = (text: string) => Either.getOrThrowWith(parseAddress(text), problem => new Error(problem))

const place = (text: string) => {
  const { hosts, user, password, database } = read(text)
  return { hosts: hosts.map(({ name, ip, port }) => [name, port, ip]), user, password, database }
}

const U = { user: "u", password: "", database: "db" }

describe("an address", () => {
  it.each([
    ["postgres://u@h/db", { ...U, hosts: [["h", 5432]] }],
    ["postgresql://u:p@h:5433/db", { ...U, password: "p", hosts: [["h", 5433]] }],
    [
      "postgres://u@127.0.0.1,127.0.0.2/db",
      {
        ...U,
        hosts: [
          ["127.0.0.1", 5432],
          ["127.0.0.2", 5432],
        ],
      },
    ],
    [
      "postgres://u@a:1,b,c:3/db",
      {
        ...U,
        hosts: [
          ["a", 1],
          ["b", 5432],
          ["c", 3],
        ],
      },
    ],
    [
      "postgres://u@a,b/db?port=7",
      {
        ...U,
        hosts: [
          ["a", 7],
          ["b", 7],
        ],
      },
    ],
    ["postgres://u@[::1]:6/db", { ...U, hosts: [["::1", 6]] }],
    [
      "postgres://u@[::1],[fe80::2]:7/db",
      {
        ...U,
        hosts: [
          ["::1", 5432],
          ["fe80::2", 7],
        ],
      },
    ],
    ["postgres://u@h/My%20Ware", { ...U, database: "My Ware", hosts: [["h", 5432]] }],
    ["postgres://u@%2Fvar%2Frun%2Fpostgresql/db", { ...U, hosts: [["/var/run/postgresql", 5432]] }],
    ["postgres:///db?host=/sock&port=5433&user=u", { ...U, hosts: [["/sock", 5433]] }],
    ["postgres://u:%2F%40%3A%25%23@h/db", { ...U, password: "/@:%#", hosts: [["h", 5432]] }],
    ["postgres://u:a#b?c:d@h/db", { ...U, password: "a#b?c:d", hosts: [["h", 5432]] }],
    ["postgres://u@h", { user: "u", password: "", database: "u", hosts: [["h", 5432]] }],
    ["postgres://h/db", { ...U, user: userInfo().username, hosts: [["h", 5432]] }],
    ["postgres://u@h/db?hostaddr=10.0.0.1", { ...U, hosts: [["h", 5432, "10.0.0.1"]] }],
    ["postgres://u@h/x?dbname=db&password=a%26b", { ...U, password: "a&b", hosts: [["h", 5432]] }],
  ])("%s is read", (text, expected) => {
    expect(place(text)).toEqual({
      ...expected,
      hosts: expected.hosts.map(([name, port, ip]) => [name, port, ip]),
    })
  })

  it.each([
    ["sslmode=verify-full&sslrootcert=/ca.pem", { mode: "verify-full", rootCertificate: "/ca.pem" }],
    ["sslrootcert=system", { mode: "verify-full", rootCertificate: "system" }],
    ["ssl=true", { mode: "require" }],
    ["channel_binding=prefer", { mode: "prefer" }],
    ["sslmode=disable&channel_binding=disable", { mode: "disable" }],
    ["sslmode=require&sslnegotiation=direct", { isDirect: true }],
    ["sslcert=/c.pem&sslkey=/k.pem", { certificate: "/c.pem", key: "/k.pem" }],
  ])("%s is understood", (query, expected) => {
    expect(read(`postgres://u@h/db?${query}`).tls).toMatchObject(expected)
  })

  it("has libpq's parameters of the session and of the choice of a server", () => {
    const { session, sessionAttributes, connectTimeoutSeconds, isShuffled } = read(
      "postgres://u@h/db?application_name=me&options=-c%20statement_timeout%3D5s&connect_timeout=1&target_session_attrs=read-write&load_balance_hosts=random&keepalives=1",
    )
    expect({ session, sessionAttributes, connectTimeoutSeconds, isShuffled }).toEqual({
      session: { application_name: "me", options: "-c statement_timeout=5s" },
      sessionAttributes: "read-write",
      connectTimeoutSeconds: 2,
      isShuffled: true,
    })
    expect(read("postgres://u@h/db?target_session_attrs=any").sessionAttributes).toBe("any")
  })

  it.each([
    ["postgres://u:100%@h/db", /% in its password.*%25/],
    ["postgres://u:a%zz@h/db", /% in its password/],
    ["postgres://u@h/db%", /% in its database/],
    ["postgres://u@h/db?channel_binding=require", /channel_binding.*not supported/],
    ["postgres://u@h/db?gssencmode=require", /gssencmode/],
    ["postgres://u@h/db?require_auth=scram-sha-256", /"require_auth"/],
    ["postgres://u@h/db?schema=mine", /"schema".*not supported.*options=/],
    ["postgres://u@h/db?sslmode=on", /sslmode.*disable, allow, prefer, require, verify-ca, verify-full/],
    ["postgres://u@h/db?sslrootcert=system&sslmode=require", /sslrootcert=system/],
    ["postgres://u@h/db?target_session_attrs=leader", /target_session_attrs/],
    ["postgres://u@h/db?sslcert=/c.pem", /sslcert and sslkey/],
    ["postgres://u@h/db?connect_timeout=soon", /connect_timeout/],
    ["postgres://u@h/db?sslmode", /no = in its parameter sslmode/],
    ["postgres://u@a,b,c/db?port=1,2", /2 ports for 3 hosts/],
    ["postgres://u@h:99999/db", /port/],
    ["postgres://u@[::1/db", /closing \]/],
    ["postgres://u@::1/db", /\[brackets\]/],
    ["postgres://u:p@ss@h/db", /%40/],
    ["postgres://u:p/q@h/db", /%2F/],
    ["postgres:///db", /names no host/],
    ["postgres://u@a,,b/db", /empty host/],
    ["mysql://u@h/db", /must be a postgres:/],
    ["host=h dbname=db", /must be a postgres:/],
    [
      "postgres://u@h/db?hostaddr=db.example",
      "has a hostaddr that is no IP address: a name belongs into host",
    ],
  ])("%s is refused by name", (text, expected) => {
    const problem = Either.getOrThrow(Either.flip(parseAddress(text)))
    expect(problem).toMatch(expected)
    expect(problem).not.toContain("\n")
  })

  it("has a login, a host and a database of any text, which come back as they were", () => {
    const word = fc
      .string({ minLength: 1, unit: "binary" })
      .filter(text => !/[\0]|[\ud800-\udfff]/.test(text))
    fc.assert(
      fc.property(word, word, word, (user, password, database) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent)
        expect(place(`postgres://${u}:${p}@h/${d}`)).toMatchObject({ user, password, database })
      }),
    )
  })

  it("is never repeated in a message about it", () => {
    fc.assert(
      fc.property(fc.string(), text => {
        const secret = "s3cr3t-s3cr3t"
        const result = parseAddress(`postgres://u:${secret}${text}@h/db`)
        if (Either.isLeft(result)) expect(result.left).not.toContain(secret)
      }),
    )
  })

  it.effect("is refused before anything starts, in a line that names the variable", () =>
    Effect.gen(function* () {
      for (const variable of ["DATABASE_URL", "PAYCOMBAT_READER_URL"]) {
        const given = ConfigProvider.fromMap(new Map([[variable, "postgres://u:100%@h/db"]]))
        const error = yield* Effect.flip(Effect.withConfigProvider(Config.database, given))
        expect(error.message).toMatch(new RegExp(`^${variable} has a % in its password`))
      }
      const none = yield* Effect.withConfigProvider(Config.database, ConfigProvider.fromMap(new Map()))
      expect(Option.isNone(none.url)).toBe(true)
    }),
  )
})
