import { readFileSync } from "node:fs"
import { request } from "node:http"
import { createServer } from "node:https"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, sandboxEnvironment } from "../support/cli.ts"
import { testDatabase } from "../support/postgres.ts"
import { HIDDEN_HOST, listening, startProxy } from "../support/proxy.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"

const fixture = (name: string) => new URL(`../fixtures/${HIDDEN_HOST}.${name}.pem`, import.meta.url)

slow(() => {
  it.scopedLive(
    "sync reads an API over TLS through a proxy, and checks the certificate against the API's name",
    () =>
      Effect.gen(function* () {
        const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
        const sandbox = yield* start(SMALL)
        const tls = { key: readFileSync(fixture("key")), cert: readFileSync(fixture("cert")) }
        const port = yield* listening(
          createServer(tls, ({ url, headers }, response) => {
            request(sandbox.url + url, { headers }, answer => {
              response.writeHead(answer.statusCode ?? 502, answer.headers)
              answer.pipe(response)
            }).end()
          }),
        )
        const proxy = yield* startProxy(port)
        const { run } = yield* cli({
          ...sandboxEnvironment(sandbox),
          ...databaseEnvironment(ownerUrl),
          PAYCOMBAT_BASE_URL: `https://${HIDDEN_HOST}`,
          HTTPS_PROXY: `http://${proxy.address}`,
          NODE_EXTRA_CA_CERTS: fixture("cert").pathname,
        })
        const sync = ["sync", "--stream", "payouts", "--json"]
        const { code, stdout } = yield* run(sync)
        expect([code, JSON.parse(stdout).streams[0].inserted]).toEqual([0, 20])
        expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${HIDDEN_HOST}:443`]))

        const untrusted = yield* run(sync, { NODE_EXTRA_CA_CERTS: "" })
        expect(untrusted.code).toBe(1)
        expect(untrusted.stdout).toContain(
          `connection through the proxy ${proxy.address} (HTTPS_PROXY) failed`,
        )

        const around = yield* run(sync, { NO_PROXY: ".test" })
        expect(around.code).toBe(1)
        expect(around.stdout).toMatch(/connection failed \((ENOTFOUND|EAI_AGAIN)\)/)
      }),
  )
})
