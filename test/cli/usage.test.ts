import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import { Console, Effect, Record } from "effect"
import { main } from "../../src/cli/cli.ts"
import { cli, linesOf } from "../support/cli.ts"

/** Longest start of `--version` and `--help`, as a multiple of `node -e 0`. */
const START_RATIO_MAX = 5
/** Runs of each, in turns. The fastest of each are compared, because other processes disturbed them least. */
const START_ROUNDS = 5

/** Expects one line on stderr, nothing on stdout, and the exit code of wrong usage. */
const expectUsageError = (
  ended: { readonly code: number; readonly stdout: string; readonly stderr: string },
  words: string,
) => {
  expect(ended.stdout).toBe("")
  expect(linesOf(ended.stderr)).toHaveLength(1)
  expect(ended.stderr).toContain(words)
  expect(ended.code).toBe(2)
}

/** Returns the help text of a command. Runs within this process, because there are many commands. */
const helpOf = (words: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const console = yield* Console.consoleWith(Effect.succeed)
    const printed: Array<unknown> = []
    const log = (...texts: ReadonlyArray<unknown>) => Effect.sync(() => void printed.push(...texts))
    yield* Console.withConsole(main(["node", "paycombat-sync", ...words, "--help"]), { ...console, log })
    return printed.join("\n")
  }).pipe(Effect.provide(NodeContext.layer))

describe.concurrent("help", () => {
  it.scopedLive("is plain text without a terminal, and names every command", () =>
    Effect.gen(function* () {
      const { run } = yield* cli()
      const [alone, asked, version, ofSync] = yield* Effect.all(
        [run([]), run(["--help"]), run(["--version"]), run(["sync", "--help"])],
        { concurrency: 2 },
      )
      for (const ended of [alone, asked, version, ofSync]) {
        expect(ended.code).toBe(0)
        expect(ended.stderr).toBe("")
        expect(ended.stdout).not.toContain("\u001b")
      }
      const commands = readdirSync("src/cli/commands").map(file => file.replace(".ts", ""))
      for (const command of commands.filter(name => name !== "onDemand" && name !== "shared"))
        expect(alone.stdout).toMatch(new RegExp(`^  ${command} `, "m"))
      expect(asked.stdout).toBe(alone.stdout)
      const { version: own } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string }
      expect(version.stdout).toBe(`${own}\n`)
      for (const option of ["--account", "--stream", "--full", "--migrate", "--strict", "--json"])
        expect(ofSync.stdout).toContain(option)
    }),
  )

  it.effect("has --json for every command that prints an answer", () =>
    Effect.gen(function* () {
      const files = readdirSync("src/cli/commands").map(file => file.replace(".ts", ""))
      const commands = files.filter(name => name !== "onDemand" && name !== "shared")
      // The file of a command declares its subcommands. A command that only has subcommands prints no answer.
      const spelled = commands.flatMap(command => {
        const text = readFileSync(`src/cli/commands/${command}.ts`, "utf8")
        const made = [...text.matchAll(/Command\.make\(\s*"([^"]+)"(\))?/g)]
        return made.flatMap(([, name, alone]) =>
          alone !== undefined ? [] : [name === command ? [command] : [command, name!]],
        )
      })
      expect([...new Set(spelled.map(([name]) => name))]).toEqual(commands)
      const without: Array<string> = []
      for (const words of spelled) {
        const help = yield* helpOf(words)
        expect(help).toContain("USAGE")
        if (!/--json\b/.test(help)) without.push(words.join(" "))
      }
      // `serve` prints no answer: its pages and its log show everything.
      expect(without).toEqual(["serve"])
    }),
  )

  /** Finds the files of `src` and the packages that are loaded with a file, before any code runs. */
  const loadedWith = (entry: string) => {
    const statically = /^(?:import|export) (?!type )[^;]*?from "([^"]+)"|^import "([^"]+)"/gms
    const seen = new Set<string>()
    const packages = new Set<string>()
    const read = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      for (const [, from, bare] of readFileSync(file, "utf8").matchAll(statically)) {
        const name = (from ?? bare)!
        const scope = name.startsWith("@") ? 2 : 1
        if (name.startsWith(".")) read(join(file, "..", name))
        else if (!name.startsWith("node:")) packages.add(name.split("/").slice(0, scope).join("/"))
      }
    }
    read(entry)
    return { files: [...seen], packages: [...packages].sort() }
  }

  it("loads no library for the whole program, and no driver, table printer or sandbox for a command", () => {
    expect(loadedWith("src/main.ts")).toMatchObject({ packages: [] })
    const { files, packages } = loadedWith("src/cli/cli.ts")
    expect(files).toContain("src/cli/commands/sync.ts")
    expect(packages).toEqual(["@effect/cli", "@effect/platform-node", "dotenv", "effect"])
  })

  it.scopedLive("and --version take at most five times as long as the start of Node", () =>
    Effect.gen(function* () {
      const { main } = yield* cli()
      const taking = (args: ReadonlyArray<string>) => {
        const begun = performance.now()
        execFileSync(process.execPath, args)
        return performance.now() - begun
      }
      const asked = { node: ["-e", "0"], version: [main, "--version"], help: [main, "--help"] }
      const rounds = Array.from({ length: START_ROUNDS }, () => Record.map(asked, taking))
      const fastest = Record.map(asked, (_, name) => Math.min(...rounds.map(round => round[name])))
      expect(fastest.version / fastest.node).toBeLessThan(START_RATIO_MAX)
      expect(fastest.help / fastest.node).toBeLessThan(START_RATIO_MAX)
    }),
  )
})

describe.concurrent("wrong usage", () => {
  const cases: Readonly<Record<string, readonly [args: ReadonlyArray<string>, words: string]>> = {
    "an unknown command": [["synk"], "use one of 'sync'"],
    "an unknown option": [["sync", "--bogus"], "--bogus"],
    "a missing argument": [["query"], "<statement>"],
    "a malformed number": [["sandbox", "--port", "high"], "high"],
    "a port out of range": [["sandbox", "--port", "99999"], "--port 99999 is not a port: 0 to 65535"],
    "a repeated option without its value": [["sync", "--account"], "--account needs a value"],
    "a repeated option with an empty value": [["sync", "--stream", ""], "--stream needs a value"],
    "an unknown fault": [["sandbox", "--fault", "fire=0.5"], "rate-limit"],
    "a path of an unknown list": [["sandbox", "--path", "refunds=/refunds"], "customers, payouts"],
    "a malformed path": [["sandbox", "--path", "payouts=list"], "--path payouts=list"],
    "a by-id path without {id}": [["sandbox", "--by-id", "payouts=/p"], "path with {id} in it"],
    "a missing path": [["sandbox", "--path"], "--path needs a value"],
    "a fault without its chance": [["sandbox", "--fault", "reset"], "--fault reset is not"],
    "a path without its list": [["sandbox", "--path", "/payouts"], "/payouts"],
    "one path of two lists": [["sandbox", "--path", "payouts=/l", "--path", "wallets=/l"], "both be at /l"],
    "an unknown first page": [["sandbox", "--first-page", "2"], "0, 1"],
    "one paging parameter": [["sandbox", "--paging", "page"], "--paging page"],
    "one paging parameter for two": [["sandbox", "--paging", "page,page"], "--paging page,page"],
    "an unknown end": [["sandbox", "--after-end", "500"], "repeat"],
    "an unknown offset": [["sandbox", "--offset-by", "page"], "served"],
    "an unknown change": [["sandbox", "--change", "shuffle"], "insert-front"],
    "a change of an unknown list": [
      ["sandbox", "--change", "touch", "--change-stream", "refunds"],
      "payouts",
    ],
    "a change after zero pages": [
      ["sandbox", "--change", "touch", "--change-every", "0"],
      "--change-every 0",
    ],
    "a file that is an option": [["report", "--file", "a.html"], "'--file' is not an option"],
    "an option of one letter less": [["database", "backup", "--jso"], "Did you mean '--json'? See"],
    "two formats of an answer": [["query", "SELECT 1", "--csv", "--json"], "give one of them"],
    "zero changes": [["sandbox", "--change", "touch", "--change-times", "0"], "--change-times 0"],
  }
  for (const [title, [args, words]] of Object.entries(cases))
    it.scopedLive(`${title} is one line, and exit 2`, () =>
      Effect.gen(function* () {
        const { run } = yield* cli()
        expectUsageError(yield* run(args), words)
      }),
    )
})

describe.concurrent("wrong settings", () => {
  const TOKEN = { PAYCOMBAT_TOKEN: "a-token-that-nobody-may-see" }
  const cases: Readonly<
    Record<string, readonly [args: ReadonlyArray<string>, environment: Record<string, string>, words: string]>
  > = {
    "no token": [["sync"], {}, "PAYCOMBAT_TOKEN is not set"],
    "an empty token": [["sync"], { PAYCOMBAT_TOKEN: "" }, "PAYCOMBAT_TOKEN is not set"],
    "no token of a named account": [["sync"], { PAYCOMBAT_ACCOUNTS: "eu" }, "PAYCOMBAT_TOKEN_EU is not set"],
    "an unknown account": [["sync", "--account", "eu"], TOKEN, "no account eu"],
    "an unknown stream": [["sync", "--stream", "refunds"], TOKEN, "no stream refunds"],
    "a malformed number": [["sync"], { ...TOKEN, PAYCOMBAT_PAGE_SIZE: "many" }, "PAYCOMBAT_PAGE_SIZE"],
    "a malformed log level": [["status"], { PAYCOMBAT_LOG_LEVEL: "loud" }, "PAYCOMBAT_LOG_LEVEL"],
    "a malformed database": [["status"], { DATABASE_URL: "secret-host/x" }, "DATABASE_URL"],
    "an embedded database where one is given": [
      ["database"],
      { DATABASE_URL: "postgres://o:secret-password@127.0.0.1:1/x" },
      "DATABASE_URL is set",
    ],
  }
  for (const [title, [args, environment, words]] of Object.entries(cases))
    it.scopedLive(`${title}: one line that names it, exit 2, and nothing is started`, () =>
      Effect.gen(function* () {
        const { run, directory } = yield* cli()
        const ended = yield* run(args, environment)
        expectUsageError(ended, words)
        for (const value of ["a-token-that-nobody-may-see", "secret"])
          expect(ended.stderr).not.toContain(value)
        expect(readdirSync(directory)).toEqual([])
      }),
    )

  it.scopedLive("do not prevent --help", () =>
    Effect.gen(function* () {
      const { run } = yield* cli({ PAYCOMBAT_LOG_LEVEL: "loud", DATABASE_URL: "x" })
      expect((yield* run(["--help"])).code).toBe(0)
    }),
  )

  it.scopedLive("are read from .env; the environment wins", () =>
    Effect.gen(function* () {
      const { run, directory } = yield* cli()
      writeFileSync(join(directory, ".env"), "PAYCOMBAT_TOKEN=from-file\nPAYCOMBAT_CONCURRENCY=0\n")
      expectUsageError(yield* run(["sync"]), "PAYCOMBAT_CONCURRENCY")
      const ended = yield* run(["sync"], { PAYCOMBAT_CONCURRENCY: "1", PAYCOMBAT_TIMEOUT_SECONDS: "0" })
      expectUsageError(ended, "PAYCOMBAT_TIMEOUT_SECONDS")
    }),
  )
})
