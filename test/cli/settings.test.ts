import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Cli, cli, linesOf } from "../support/cli.ts"
import { slow } from "../support/slow.ts"

/** Tests that every setting is either used or named in one line. */

/** An account without rights, if the tests run as the superuser. */
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0

/** The commands that use a warehouse and create none. */
const READING: ReadonlyArray<ReadonlyArray<string>> = [
  ["query", "SELECT 1"],
  ["report"],
  ["migrate", "--check"],
  ["rejects", "list"],
  ["rejects", "show", "1"],
  ["rejects", "replay"],
  ["rebuild"],
  ["erase", "--customer", "c", "--yes"],
  ["database", "backup", "file"],
]

const writeEnv = ({ directory }: Cli, content: string | Buffer) =>
  writeFileSync(join(directory, ".env"), content)

describe.concurrent(".env", () => {
  it.scopedLive("that belongs to another user ends a command with the reason, and creates no database", () =>
    Effect.gen(function* () {
      const program = yield* cli()
      writeEnv(program, "DATABASE_URL=postgres://o:s3cret@127.0.0.1:1/x")
      chmodSync(join(program.directory, ".env"), isRoot ? 0o600 : 0)
      chmodSync(program.directory, 0o777)
      const outputs = isRoot ? { uid: NOBODY } : {}
      for (const args of [["status"], ["query", "SELECT 1"], ["migrate"]]) {
        const { code, stdout, stderr } = yield* program.run(args, {}, outputs)
        expect([code, stdout]).toEqual([2, ""])
        expect(linesOf(stderr)).toEqual([
          expect.stringMatching(/^Cannot read the settings in .*\/\.env: this user may not read it\. /),
        ])
      }
      expect(readdirSync(program.directory)).toEqual([".env"])
    }),
  )

  it.scopedLive("that is a directory or UTF-16 ends every command; the demo and --help ignore it", () =>
    Effect.gen(function* () {
      const [program, other] = [yield* cli(), yield* cli()]
      mkdirSync(join(program.directory, ".env"))
      writeEnv(other, Buffer.from("\ufeffDATABASE_URL=postgres://o:s3cret@127.0.0.1:1/x\r\n", "utf16le"))
      for (const args of [["sync"], ["status"], ["doctor"], ["database"]]) {
        const { code, stdout, stderr } = yield* program.run(args)
        expect([args, code, stdout]).toEqual([args, 2, ""])
        expect(linesOf(stderr)).toEqual([expect.stringContaining("it is a directory")])
      }
      const { code, stderr } = yield* other.run(["sync"])
      expect([code, linesOf(stderr)]).toEqual([2, [expect.stringContaining("it is UTF-16")]])
      expect((yield* program.run(["sync", "--help"])).code).toBe(0)
      for (const { directory } of [program, other]) expect(readdirSync(directory)).toEqual([".env"])
    }),
  )
})

describe.concurrent("an unknown variable name", () => {
  it.scopedLive("is a warning of every command, including those that create a database or judge one", () =>
    Effect.gen(function* () {
      const program = yield* cli({ PAYCOMBAT_TOKE: "s3cret" })
      for (const args of [["sync"], ["serve"], ["status"], ["doctor"]]) {
        const { stdout, stderr } = yield* program.run(args)
        const warnings = linesOf(stderr).filter(line => line.includes("PAYCOMBAT_TOKE,"))
        expect([args, warnings]).toEqual([args, [expect.stringContaining("did you mean PAYCOMBAT_TOKEN?")]])
        expect(`${stdout}${stderr}`).not.toContain("s3cret")
      }
    }),
  )

  it.scopedLive("is no warning if it names an account or a list, or is empty", () =>
    Effect.gen(function* () {
      const { run } = yield* cli()
      const { stderr } = yield* run(["query", "SELECT 1"], {
        PAYCOMBAT_ACCOUNTS: "eu",
        PAYCOMBAT_TOKEN_EU: "one",
        PAYCOMBAT_RATE_PER_SECOND_EU: "3",
        PAYCOMBAT_PATH_PAYOUTS_EU: "/payouts",
        PAYCOMBAT_TOKEN_APAC: "two",
        PAYCOMBAT_BASEURL: "",
        DATABASE_HOST: "elsewhere",
      })
      expect(linesOf(stderr)).toEqual([expect.stringContaining("Nothing was synced yet")])
    }),
  )
})

describe.concurrent("an invalid value", () => {
  const TOKEN = { PAYCOMBAT_TOKEN: "s3cret-token" }
  const cases: Readonly<Record<string, readonly [environment: Record<string, string>, words: string]>> = {
    "a token in quotes": [{ PAYCOMBAT_TOKEN: '"s3cret"' }, "PAYCOMBAT_TOKEN begins or ends with a quote"],
    "a base URL on a port that fetch refuses": [
      { ...TOKEN, PAYCOMBAT_BASE_URL: "http://127.0.0.1:6000" },
      "PAYCOMBAT_BASE_URL must not name port 6000",
    ],
  }
  for (const [title, [environment, words]] of Object.entries(cases))
    it.scopedLive(`${title}: one line that names the variable, exit 2, and nothing is made`, () =>
      Effect.gen(function* () {
        const { run, directory } = yield* cli()
        const { code, stdout, stderr } = yield* run(["sync"], environment)
        expect([code, stdout, linesOf(stderr)]).toEqual([2, "", [expect.stringContaining(words)]])
        expect(stderr).not.toContain("s3cr")
        expect(readdirSync(directory)).toEqual([])
      }),
    )

  it.scopedLive(
    "a variable that the environment sets to empty over .env is named, and counts as not set",
    () =>
      Effect.gen(function* () {
        const program = yield* cli()
        writeEnv(program, "PAYCOMBAT_TOKEN=s3cret\nOTHER=x\n")
        const { code, stderr } = yield* program.run(["sync"], { PAYCOMBAT_TOKEN: " ", OTHER: "" })
        expect([code, linesOf(stderr)]).toEqual([
          2,
          [
            expect.stringMatching(/PAYCOMBAT_TOKEN is empty in the environment, which wins over .*\.env: /),
            expect.stringContaining("PAYCOMBAT_TOKEN is not set"),
          ],
        ])
      }),
  )
})

describe.concurrent("before the first sync", () => {
  slow(() => {
    it.scopedLive(
      "every other command says that nothing was synced and where it looked, warns of misspelt names, and creates nothing",
      () =>
        Effect.gen(function* () {
          const program = yield* cli()
          for (const args of READING) {
            const { code, stdout, stderr } = yield* program.run(args, {
              PAYCOMBAT_BASEURL: "https://s3cret.example",
            })
            expect([args, code, stdout]).toEqual([args, 2, ""])
            expect(stderr).not.toContain("s3cret")
            expect(linesOf(stderr)).toEqual([
              expect.stringMatching(
                /WARN PAYCOMBAT_BASEURL, set in the environment, is not a setting of paycombat-sync: did you mean PAYCOMBAT_BASE_URL\?$/,
              ),
              expect.stringMatching(
                /^Nothing was synced yet: there is no database in \/.*\/\.paycombat \(the default: PAYCOMBAT_DATA_DIR is not set, and there is no \.env in \/.*\)\. Run `paycombat-sync sync` first\. /,
              ),
            ])
          }
          const status = yield* program.run(["status"])
          expect([status.code, status.stderr]).toEqual([1, ""])
          expect(status.stdout).toMatch(/^Nothing was synced yet: there is no database in \//)
          const json = yield* program.run(["status", "--json"])
          expect([json.code, JSON.parse(json.stdout)]).toEqual([1, []])
          expect(json.stderr).toContain("Nothing was synced yet")
          for (const [name, value] of [
            ["PAYCOMBAT_PAGE_SIZE", "0"],
            ["PAYCOMBAT_PII", "hsah"],
            ["PAYCOMBAT_TOKEN", '"s3cret'],
            ["PAYCOMBAT_BASE_URL", "http://h/%zz"],
            ["PAYCOMBAT_SCHEDULE", "every day"],
          ] as const) {
            const wrong = yield* program.run(["status"], { [name]: value })
            expect([name, wrong.code, wrong.stdout]).toEqual([name, 2, ""])
            expect(linesOf(wrong.stderr)).toEqual([expect.stringContaining(name)])
          }
          for (const args of [
            ["query", "--demo", "SELECT 1"],
            ["report", "--demo"],
            ["directions", "list", "--demo"],
            ["directions", "confirm", "--demo"],
          ]) {
            const demo = yield* program.run(args)
            expect([demo.code, linesOf(demo.stderr)]).toEqual([
              2,
              [expect.stringContaining("run `paycombat-sync demo`")],
            ])
          }
          expect(readdirSync(program.directory)).toEqual([])
        }),
    )
  })

  it.scopedLive("the message names the setting of the directory, and an empty directory stays empty", () =>
    Effect.gen(function* () {
      const program = yield* cli()
      mkdirSync(join(program.directory, "data"))
      writeEnv(program, "PAYCOMBAT_DATA_DIR=data\n")
      const inFile = yield* program.run(["query", "SELECT 1"])
      expect([inFile.code, inFile.stderr]).toEqual([
        2,
        expect.stringMatching(/no database in \/.*\/data \(PAYCOMBAT_DATA_DIR of \/.*\/\.env\)\./),
      ])
      const elsewhere = yield* program.run(["query", "SELECT 1"], { PAYCOMBAT_DATA_DIR: "/nowhere/at/all" })
      expect([elsewhere.code, elsewhere.stderr]).toEqual([
        2,
        expect.stringContaining("no database in /nowhere/at/all (PAYCOMBAT_DATA_DIR of the environment)."),
      ])
      const doctor = yield* program.run(["doctor", "--stream", "payouts"], {
        PAYCOMBAT_TOKEN: "one",
        PAYCOMBAT_BASE_URL: "http://127.0.0.1:2",
      })
      expect(doctor.stdout).toMatch(/embedded Postgres: nothing was synced yet: .*\/data\/postgres/)
      expect(readdirSync(join(program.directory, "data"))).toEqual([])
    }),
  )
})
