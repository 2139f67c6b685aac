import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type { Examination } from "../../src/doctor/doctor.ts"
import { start } from "../../src/sandbox/sandbox.ts"
import {
  cli,
  databaseEnvironment,
  type Ended,
  hasTerminals,
  linesOf,
  saidIn,
  sandboxEnvironment,
} from "../support/cli.ts"
import { KEY, MARK, plantBadRecords, plantPeople } from "../support/people.ts"
import { testDatabase } from "../support/postgres.ts"
import { slow } from "../support/slow.ts"
import { MIGRATED, SMALL } from "../support/warehouse.ts"

/** Tests `doctor` as a process of its own. */

const TOKEN = "token-Qwertz-0123456789"

const parts = Effect.gen(function* () {
  const database = yield* testDatabase({ template: MIGRATED })
  const sandbox = yield* start({ ...SMALL, token: TOKEN })
  const program = yield* cli({
    ...sandboxEnvironment(sandbox),
    ...databaseEnvironment(database.ownerUrl),
    PAYCOMBAT_READER_URL: Redacted.value(database.readerUrl),
  })
  return { ...database, ...program, sandbox }
})

/** Returns the lines of a level, without their mark. */
const marked = ({ stdout }: Ended, level: string) =>
  linesOf(stdout).filter(line => line.slice(2).startsWith(`${level}  `))

const passwordOf = (url: Redacted.Redacted) => new URL(Redacted.value(url)).password

describe("doctor", () => {
  it.scopedLive("prints a line for each check, and exits with 0 if no check fails", () =>
    Effect.gen(function* () {
      const { run, directory } = yield* parts
      const ended = yield* run(["doctor"])
      expect([ended.code, ended.stderr]).toEqual([0, ""])
      const lines = linesOf(ended.stdout)
      const [last] = lines.slice(-1)
      for (const line of lines.slice(0, -1)) expect(line).toMatch(/^(✔ pass|! warn|✖ fail) {2}[\w/ ]+: .+\.$/)
      expect(last).toBe(`${marked(ended, "pass").length} passed, 2 with a warning, 0 failed.`)
      expect(ended.stdout).toContain("✔ pass  default token: is accepted")
      expect(ended.stdout).toContain(
        "✔ pass  default/payouts list: /api/v1/payout/get-all, paged by page,limit",
      )
      expect(readdirSync(directory)).toEqual([])
    }),
  )

  it.scopedLive("prints one JSON document for programs", () =>
    Effect.gen(function* () {
      const { run } = yield* parts
      const ended = yield* run([
        "doctor",
        "--json",
        "--stream",
        "transactions",
        "--stream",
        "wallet_readiness",
      ])
      expect(ended.code).toBe(0)
      expect(saidIn(ended.stderr)).toEqual([])
      const { level, checks, streams, requests } = JSON.parse(ended.stdout) as Examination
      expect(level).toBe("warn")
      expect(checks.length).toBeGreaterThan(15)
      expect(streams.map(({ stream }) => stream)).toEqual(["transactions", "wallet_readiness"])
      expect(streams[0]).toMatchObject({
        list: { contract: { path: "/api/v1/transaction/get-all" }, order: { seen: "oldest first" } },
        drift: { records: 120, undocumented: [] },
        money: { feeSum: { holds: 120, of: 120 } },
      })
      expect(streams[0]!.list).not.toHaveProperty("records")
      expect(streams[1]).toMatchObject({ readiness: { asked: 6 } })
      expect(requests).toBeGreaterThan(streams[0]!.requests)
    }),
  )

  it.scopedLive("exits with 1 if a check fails, after it made all checks", () =>
    Effect.gen(function* () {
      const { run } = yield* parts
      const refused = yield* run(["doctor", "--stream", "payouts"], { PAYCOMBAT_TOKEN: "another-token" })
      expect(refused.code).toBe(1)
      expect(marked(refused, "fail")).toEqual([
        expect.stringMatching(/default token: .*401.*PAYCOMBAT_TOKEN\.$/),
      ])
      expect(refused.stdout).toContain("migrations: the database is up to date.")
      const away = yield* run(["doctor", "--stream", "payouts"], {
        DATABASE_URL: "postgres://owner:secret-password@127.0.0.1:1/warehouse",
      })
      expect(away.code).toBe(1)
      expect(marked(away, "fail")).toEqual([expect.stringMatching(/fail {2}database: .*ECONNREFUSED/)])
      expect(away.stdout).toMatch(/default API: was not asked: the database does not tell/)
      expect(`${refused.stdout}${away.stdout}`).not.toMatch(/another-token|secret-password/)
    }),
  )

  it.scopedLive("exits with 2 if a setting is wrong, names the variable, and makes the other checks", () =>
    Effect.gen(function* () {
      const { run } = yield* parts
      const tokenless = yield* run(["doctor"], { PAYCOMBAT_TOKEN: "" })
      expect([tokenless.code, tokenless.stderr]).toEqual([2, ""])
      expect(marked(tokenless, "fail")).toEqual([
        expect.stringMatching(/^✖ fail {2}configuration: PAYCOMBAT_TOKEN is not set\./),
      ])
      expect(tokenless.stdout).toContain("migrations: the database is up to date.")
      const malformed = yield* run(["doctor", "--stream", "payouts"], {
        DATABASE_URL: "secret-host/x",
        PAYCOMBAT_SCHEDULE: "every day",
      })
      expect([malformed.code, malformed.stderr]).toEqual([2, ""])
      expect(marked(malformed, "fail")).toEqual([
        expect.stringMatching(/configuration: DATABASE_URL must be/),
        expect.stringMatching(/configuration: PAYCOMBAT_SCHEDULE/),
      ])
      expect(malformed.stdout).not.toContain("secret-host")
      expect(malformed.stdout).toMatch(/default API: was not asked: the database does not tell/)
      const streamless = yield* run(["doctor", "--stream", "refunds"])
      expect([streamless.code, streamless.stdout]).toEqual([2, ""])
      expect(linesOf(streamless.stderr)).toEqual([expect.stringContaining("no stream refunds")])
    }),
  )

  it.scopedLive("names the set and the unknown variables, never their values", () =>
    Effect.gen(function* () {
      const { run, directory } = yield* cli()
      writeFileSync(
        join(directory, ".env"),
        [
          "PAYCOMBAT_TOKEN=value-one",
          "  export PAYCOMBAT_PAGESIZE = value-two",
          "# PAYCOMBAT_PAGING=value-three",
          "PAYCOMBAT_TOKEN_EU=value-four",
          "PAYCOMBAT_PAGING=",
          "OTHER=value-five",
        ].join("\n"),
      )
      const { stdout } = yield* run(["doctor"], {
        PAYCOMBAT_BASE_URL: "http://127.0.0.1:2",
        DATABASE_URL: "postgres://o:value-six@127.0.0.1:1/x",
      })
      const lines = linesOf(stdout).filter(line => line.includes("configuration: "))
      expect(lines).toEqual([
        "✔ pass  configuration: set: DATABASE_URL, PAYCOMBAT_BASE_URL, PAYCOMBAT_TOKEN.",
        expect.stringMatching(
          /^! warn {2}configuration: PAYCOMBAT_PAGESIZE, PAYCOMBAT_TOKEN_EU: no setting of this program/,
        ),
      ])
      expect(stdout).not.toContain("value-")
    }),
  )

  slow(() => {
    it.scopedLive(
      "examines each account with its own token, and a refused token does not stop the others",
      () =>
        Effect.gen(function* () {
          const { run, sandbox } = yield* parts
          const ended = yield* run(["doctor", "--stream", "payouts"], {
            PAYCOMBAT_ACCOUNTS: "eu,apac",
            PAYCOMBAT_TOKEN_EU: "a-wrong-one",
            PAYCOMBAT_TOKEN_APAC: sandbox.token,
          })
          expect(ended.stdout).not.toContain("have the same token")
          const twice = yield* run(["doctor", "--stream", "payouts"], {
            PAYCOMBAT_ACCOUNTS: "eu,apac",
            PAYCOMBAT_TOKEN_EU: sandbox.token,
            PAYCOMBAT_TOKEN_APAC: sandbox.token,
          })
          expect(twice.stdout).toContain("token: eu and apac have the same token")
          expect(ended.code).toBe(1)
          expect(marked(ended, "fail")).toEqual([expect.stringMatching(/eu token: .*PAYCOMBAT_TOKEN_EU/)])
          expect(ended.stdout).toContain("apac/payouts list: /api/v1/payout/get-all")
          expect(ended.stdout).not.toContain("eu/payouts")
        }),
    )
  })

  slow(() => {
    it.scopedLive("prints no secret and no personal data", () =>
      Effect.gen(function* () {
        const { run, sandbox, ownerUrl, readerUrl } = yield* parts
        plantPeople(sandbox, 8)
        plantBadRecords(sandbox)
        const secrets = { PAYCOMBAT_PII: "hash", PAYCOMBAT_PII_KEY: KEY }
        const plain = yield* run(["doctor", "--log-level", "debug"], secrets)
        expect(plain.stdout).toContain("nick_name (string)")
        const echo = `the token ${TOKEN} of ${MARK} ${MARK}@example.com`
        sandbox.setFault(({ path }) => (path.includes("payout") ? { status: 400, body: echo } : undefined))
        const refused = yield* run(["doctor", "--json", "--stream", "payouts"], secrets)
        expect(refused.code).toBe(1)
        const said = [plain, refused].flatMap(({ stdout, stderr }) => [stdout, stderr]).join("\n")
        const words = [TOKEN, KEY, MARK, passwordOf(ownerUrl), passwordOf(readerUrl)]
        expect(words.filter(word => said.includes(word))).toEqual([])
      }),
    )
  })
})

slow(() => {
  describe("doctor with the embedded Postgres", () => {
    it.scopedLive("creates none; starts, examines and stops the one that a sync created", () =>
      Effect.gen(function* () {
        const sandbox = yield* start({ ...SMALL, token: TOKEN })
        const { run, directory } = yield* cli(sandboxEnvironment(sandbox))
        const first = yield* run(["doctor", "--stream", "transactions"])
        expect([first.code, first.stderr]).toEqual([0, ""])
        expect(first.stdout).toMatch(
          /✔ pass {2}embedded Postgres: nothing was synced yet: there is no database in .*\.paycombat\/postgres, and the first sync makes it\. Its programs, Postgres 18, run on this machine\./,
        )
        expect(first.stdout).toMatch(/(pass|warn) {2}disk space: [\d.]+ GB free/)
        expect(readdirSync(directory)).toEqual([])
        expect(first.stdout).toMatch(
          /! warn {2}default\/transactions directions: .*run doctor again after a sync/,
        )
        yield* run(["sync", "--stream", "transactions"])
        const second = yield* run(["doctor", "--stream", "transactions"])
        expect(second.code).toBe(0)
        expect(second.stdout).toMatch(/✔ pass {2}embedded Postgres: is up on 127\.0\.0\.1:\d+, runs as /)
        expect(second.stdout).toMatch(/(pass|warn) {2}disk space: [\d.]+ GB free/)
        expect(second.stdout).toContain("✔ pass  durability: fsync and full_page_writes are on.")
        expect(existsSync(join(directory, ".paycombat/postgres/data/postmaster.pid"))).toBe(false)
        expect(second.stdout).toContain("✔ pass  migrations: the database is up to date.")
        expect(second.stdout).toContain("✔ pass  reader login: may read analytics and nothing else.")
        expect(second.stdout).not.toMatch(/first sync|after a sync/)
      }),
    )
  })
})

// Skipped, and counted as skipped, if no terminal can be created. On Linux `script` of util-linux creates
// one.
slow(() => {
  describe.skipIf(!hasTerminals)("doctor on a terminal", () => {
    it.scopedLive("shows the current check", () =>
      Effect.gen(function* () {
        const { onTerminal } = yield* parts
        const { ended } = yield* onTerminal(["doctor", "--stream", "payouts"])
        const { code, stdout } = yield* ended
        expect(code).toBe(0)
        expect(stdout).toContain("… default/payouts: looking for the list")
        expect(stdout).toContain("✔ pass  default/payouts list")
      }),
    )
  })
})
