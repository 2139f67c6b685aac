import { describe, expect, it } from "@effect/vitest"
import { Either } from "effect"
import { judgeBaseUrl, REFUSED_PORTS } from "../../src/config/baseUrl.ts"

/** Tests the check of the API's address. */

describe("the address of the API", () => {
  it("is accepted if paths can be appended to it", () => {
    for (const address of [
      "https://api.paycombat.com",
      "HTTPS://API.paycombat.com/",
      "http://127.0.0.1:8080/v1/",
      "http://[::1]:8788",
      "http://localhost:443",
      "https://proxy.example/a/b@c",
      "https://proxy.example/a%20b/..c/v1.2",
    ])
      expect([address, Either.getOrUndefined(judgeBaseUrl(address))]).toEqual([address, address])
  })

  it("is refused with the reason, and never quoted", () => {
    const refused: Readonly<Record<string, string>> = {
      "https://api.example/?s3cret=b": "query",
      "https://api.example?": "query",
      "https://api.example/#s3cret": "fragment",
      "https://api.example#": "fragment",
      "https://api.example/s3cret/../api": "path",
      "https://api.example/s3cret/.": "path",
      "https://api.example/%2e%2E/s3cret": "path",
      "https://api.example/%zz": "%",
      "https://api.example/s3cret%2": "%",
      "https://user:s3cret@api.example": "user or password",
      "https://s3cret@api.example": "user or password",
      "https://@api.example": "user or password",
      "http://api.example:6000": "port 6000",
      "http://api.example:0": "port 0",
      "https://api.example:70000": "http:// or https://",
      "ftp://s3cret.example": "http:// or https://",
      "file:///s3cret": "http:// or https://",
      "api.example": "http:// or https://",
      "localhost:8080": "http:// or https://",
      "http://": "host",
      "http:///s3cret": "host",
      "http:s3cret.example": "host",
      "https://?x": "host",
      "https://api .example": "white space",
      "https://api.example/a b": "white space",
      "https://api\t.example": "white space",
      "https:\\\\api.example": "backslashes",
    }
    for (const [address, words] of Object.entries(refused)) {
      const reason = Either.getOrElse(Either.flip(judgeBaseUrl(address)), () => "accepted")
      expect([address, reason]).toEqual([address, expect.stringContaining(words)])
      expect(reason).not.toContain("s3cret")
    }
  })

  it("has no port that fetch refuses", async () => {
    // The dispatcher fails each request before it is sent. Only ports that fetch itself refuses fail
    // differently.
    const dispatcher = {
      dispatch: () => {
        throw new Error("sent")
      },
    }
    const refused: Array<number> = []
    for (let port = 1; port <= Math.max(...REFUSED_PORTS); port++) {
      const error = await fetch(`http://127.0.0.1:${port}`, { dispatcher } as unknown as RequestInit).catch(
        caught => caught,
      )
      if ((error as Error).cause instanceof Error && (error.cause as Error).message === "bad port")
        refused.push(port)
    }
    expect(refused.length).toBeGreaterThan(70)
    expect(refused.filter(port => !REFUSED_PORTS.has(port))).toEqual([])
  })
})
