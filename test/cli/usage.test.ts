import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import { Console, Effect, Record } from "effect"
import { main } from "../../src/cli/cli.ts"
import { cli, linesOf } from "../support/cli.ts"

/** Time that the version and the help may take, as a multiple of `node -e 0`. */
const START_RATIO_MAX = 5
/** Runs of each, by turns. The fastest of each are compared: they are disturbed the least by other processes. */
const START_ROUNDS = 5

/** Ends with one line on stderr, nothing on stdout, and the exit code of wrong usage. */
const expectUsageError = (
  ended: { readonly code: number; readonly stdout: string; readonly stderr: string },
  words: string,
) => {
  expect(ended.stdout).toBe("")
  expect(linesOf(ended.stderr)).toHaveLength(1)
  expect(ended.stderr).toContain(words)
  expect(ended.code).toBe(2)
}

/** What a command's help prints, without a process of its own: there are many of them. */
const helpOf = (words: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const console = yield* Console.consoleWith(Effect.succeed)
    const printed: Array<unknown> = []
    const log = (...texts: ReadonlyArray<unknown>) => Effect.sync(() => void printed.push(...texts))
    yield* Console.withConsole(main(["node", "paycombat-sync", ...words, "--help"]), { ...console, log })
    return printed.join("\n")
  }).pipe(Effect.provide(NodeContext.layer))

describe.concurrent("help", () => {
  it.scopedLive("is plain text where nobody looks at a terminal, and names every command", () =>
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

  it.effect("has --json for every command that prints what it was asked for", () =>
    Effect.gen(function* () {
      const files = readdirSync("src/cli/commands").map(file => file.replace(".ts", ""))
      const commands = files.filter(name => name !== "onDemand" && name !== "shared")
      // A command's subcommands are those that its file makes. One that only has others below it prints nothing itself.
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
      // It prints nothing: what it has to say is on its pages and in its log.
      expect(without).toEqual(["serve"])
    }),
  )

  /** Files of `src` and packages that are loaded with a file, before anything runs. */
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

  it("of the whole program loads no library, and that of a command no driver, table printer or sandbox", () => {
    expect(loadedWith("src/main.ts")).toMatchObject({ packages: [] })
    const { files, packages } = loadedWith("src/cli/cli.ts")
    expect(files).toContain("src/cli/commands/sync.ts")
    expect(packages).toEqual(["@effect/cli", "@effect/platform-node", "dotenv", "effect"])
  })

  it.scopedLive("and the version take at most five times as long as Node takes to start", () =>
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
    "a number that is none": [["sandbox", "--port", "high"], "high"],
    "a port that is none": [["sandbox", "--port", "99999"], "--port 99999 is not a port: 0 to 65535"],
    "a repeated option without its value": [["sync", "--account"], "--account needs a value"],
    "a repeated option with an empty value": [["sync", "--stream", ""], "--stream needs a value"],
    "a fault that is none": [["sandbox", "--fault", "fire=0.5"], "rate-limit"],
    "a path of no list": [["sandbox", "--path", "refunds=/refunds"], "customers, payouts"],
    "a path that is none": [["sandbox", "--path", "payouts=list"], "--path payouts=list"],
    "a by-id path without a place": [["sandbox", "--by-id", "payouts=/p"], "path with {id} in it"],
    "a path that is missing": [["sandbox", "--path"], "--path needs a value"],
    "a fault without its chance": [["sandbox", "--fault", "reset"], "--fault reset is not"],
    "a path without its list": [["sandbox", "--path", "/payouts"], "/payouts"],
    "one path of two lists": [["sandbox", "--path", "payouts=/l", "--path", "wallets=/l"], "both be at /l"],
    "a reshape of nothing": [["sandbox", "--reshape", "colour=red"], "max-page-size=4; there are paging"],
    "a reshape to nothing": [["sandbox", "--reshape", "max-page-size=0"], "--reshape max-page-size=0"],
    "a first page that is none": [["sandbox", "--first-page", "2"], "0, 1"],
    "one paging parameter": [["sandbox", "--paging", "page"], "--paging page"],
    "one paging parameter for two": [["sandbox", "--paging", "page,page"], "--paging page,page"],
    "an end that is none": [["sandbox", "--after-end", "500"], "repeat"],
    "an offset by nothing": [["sandbox", "--offset-by", "page"], "served"],
    "a change that is none": [["sandbox", "--change", "shuffle"], "insert-front"],
    "a change of no list": [["sandbox", "--change", "touch", "--change-stream", "refunds"], "payouts"],
    "a change that never is": [["sandbox", "--change", "touch", "--change-every", "0"], "--change-every 0"],
    "a file that is an option": [["report", "--file", "a.html"], "'--file' is not an option"],
    "an option of one letter less": [["database", "backup", "--jso"], "Did you mean '--json'? See"],
    "two formats of an answer": [["query", "SELECT 1", "--csv", "--json"], "give one of them"],
    "a change no times": [["sandbox", "--change", "touch", "--change-times", "0"], "--change-times 0"],
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

  it.scopedLive("do not keep anybody from help", () =>
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
