import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { readEnvFile } from "../../src/config/envFile.ts"
import { temporaryDirectory } from "../support/postgres.ts"

/** Tests the reading of `.env`, and the one-line errors for files that would be misread. */

const SECRET = "s3cret"

const written = (content: string | Buffer) =>
  Effect.map(temporaryDirectory, directory => {
    const path = join(directory, ".env")
    writeFileSync(path, content)
    return path
  })

const read = (content: string | Buffer) => Effect.flatMap(written(content), readEnvFile)

const refusal = (content: string | Buffer) =>
  Effect.gen(function* () {
    const path = yield* written(content)
    const { _tag, message } = yield* Effect.flip(readEnvFile(path))
    expect(_tag).toBe("ConfigurationError")
    expect(message).toContain(`Cannot read the settings in ${path}: `)
    expect(message).not.toContain("\n")
    expect(message).not.toContain(SECRET)
    return message
  })

const utf16 = (text: string, isBigEndian = false) => {
  const bytes = Buffer.from(text, "utf16le")
  return isBigEndian ? bytes.swap16() : bytes
}

describe("an existing file", () => {
  const TWO = { PAYCOMBAT_TOKEN: "one", PAYCOMBAT_PAGE_SIZE: "7" }
  const spellings: Readonly<Record<string, string>> = {
    "line feeds": "PAYCOMBAT_TOKEN=one\nPAYCOMBAT_PAGE_SIZE=7\n",
    "carriage returns and line feeds": "PAYCOMBAT_TOKEN=one\r\nPAYCOMBAT_PAGE_SIZE=7\r\n",
    "carriage returns": "PAYCOMBAT_TOKEN=one\rPAYCOMBAT_PAGE_SIZE=7",
    "a byte order mark": "\ufeffPAYCOMBAT_TOKEN=one\nPAYCOMBAT_PAGE_SIZE=7",
    "quotes, export, spaces and comments":
      "# settings\n  export PAYCOMBAT_TOKEN = 'one' # the token\n\nPAYCOMBAT_PAGE_SIZE=\"7\"\r\n",
  }
  for (const [title, text] of Object.entries(spellings))
    it.scopedLive(`is read with ${title}`, () =>
      Effect.gen(function* () {
        expect(yield* read(text)).toEqual(TWO)
      }),
    )

  it.scopedLive("keeps every quoted value unchanged, including dollar signs and hashes", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, ".env")
      const value = fc.stringMatching(/^[\x20-\x26\x28-\x5b\x5d-\x7e]{0,30}$/)
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(value, fc.constantFrom("\n", "\r\n"), async (text, end) => {
            writeFileSync(path, `PAYCOMBAT_TOKEN='${text}'${end}PAYCOMBAT_PAGE_SIZE=7${end}`)
            expect(await Effect.runPromise(readEnvFile(path))).toEqual({
              PAYCOMBAT_TOKEN: text,
              PAYCOMBAT_PAGE_SIZE: "7",
            })
          }),
          { numRuns: 50 },
        ),
      )
    }),
  )

  const refused: Readonly<Record<string, readonly [content: string | Buffer, words: string]>> = {
    "UTF-16, little-endian, marked": [utf16(`\ufeffPAYCOMBAT_TOKEN=${SECRET}`), "it is UTF-16"],
    "UTF-16, big-endian, marked": [utf16(`\ufeffPAYCOMBAT_TOKEN=${SECRET}`, true), "it is UTF-16"],
    "UTF-16, little-endian": [utf16(`PAYCOMBAT_TOKEN=${SECRET}`), "it is UTF-16"],
    "UTF-16, big-endian": [utf16(`PAYCOMBAT_TOKEN=${SECRET}`, true), "it is UTF-16"],
    "NUL bytes": [`PAYCOMBAT_TOKEN=${SECRET}\0\0\n`, "it holds NUL bytes"],
    "another encoding": [Buffer.from(`# clé\nPAYCOMBAT_TOKEN=${SECRET}`, "latin1"), "it is not UTF-8"],
    "a line without =": [
      `\nPAYCOMBAT_TOKEN ${SECRET}`,
      "line 2, which begins with PAYCOMBAT_TOKEN, sets nothing",
    ],
    "a line of another shell": [
      `PAYCOMBAT_TOKEN=a\nset DATABASE_URL=postgres://u:${SECRET}@h/d`,
      "line 2, which names DATABASE_URL, sets nothing. Write it as DATABASE_URL=value",
    ],
    "a line of PowerShell": [`$env:PAYCOMBAT_TOKEN="${SECRET}"`, "line 1, which names PAYCOMBAT_TOKEN"],
    "a name behind a character that is not seen": [`\u200bPAYCOMBAT_TOKEN=${SECRET}`, "line 1, which names"],
    "a line of a unit file": [
      `PAYCOMBAT_TOKEN=a\nEnvironment="DATABASE_URL=postgres://u:${SECRET}@h/d"`,
      "line 2, which names DATABASE_URL, sets nothing. Write it as DATABASE_URL=value",
    ],
    "a line of a unit file with two variables": [
      `Environment="LANG=C" "PAYCOMBAT_TOKEN=${SECRET}"`,
      "line 1, which names PAYCOMBAT_TOKEN",
    ],
    "a setting within the value of another variable": [
      `ENV='PAYCOMBAT_TOKEN=${SECRET}'`,
      "line 1, which names PAYCOMBAT_TOKEN",
    ],
    "two byte order marks": [`\ufeff\ufeff- PAYCOMBAT_TOKEN: ${SECRET}`, "line 1, which names"],
    "a line of JSON": [
      `{\n  "DATABASE_URL": "postgres://u:${SECRET}@h/d"\n}`,
      "line 2, which names DATABASE_URL, sets",
    ],
    "all of it JSON": [
      `{"PAGER": "less", "PAYCOMBAT_TOKEN": "${SECRET}"}`,
      "line 1, which names PAYCOMBAT_TOKEN",
    ],
    "a command and a value after a space": [
      `setx DATABASE_URL postgres://u:${SECRET}@h/d`,
      "line 1, which names",
    ],
    "a command with an option": [`set -x PAYCOMBAT_TOKEN ${SECRET}`, "line 1, which names PAYCOMBAT_TOKEN"],
    "a line of a Dockerfile": [`ENV PAYCOMBAT_TOKEN ${SECRET}`, "line 1, which names PAYCOMBAT_TOKEN"],
    "two variables on a line": [
      `PAYCOMBAT_TOKEN=a DATABASE_URL=postgres://u:${SECRET}@h/d`,
      "line 1, which begins with PAYCOMBAT_TOKEN, also names DATABASE_URL",
    ],
    "two commands on a line": [
      `export PAYCOMBAT_TOKEN=${SECRET}; export PAYCOMBAT_PAGE_SIZE=7`,
      "also names PAYCOMBAT_PAGE_SIZE. Write each variable on a line of its own",
    ],
    "a # within a value": [`DATABASE_URL=postgres://u:${SECRET}#x@h/d`, "Put the value in quotes"],
    "a # within a value of words": [`PAYCOMBAT_READY_RECHECK=24 hours#x`, "line 1"],
  }
  for (const [title, [content, words]] of Object.entries(refused))
    it.scopedLive(`is refused with ${title}`, () =>
      Effect.gen(function* () {
        expect(yield* refusal(content)).toContain(words)
      }),
    )

  it.scopedLive("is refused if it is not a file, or a link to a missing file", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      mkdirSync(join(directory, "directory"))
      symlinkSync("nowhere", join(directory, "link"))
      const of = (name: string) =>
        Effect.map(Effect.flip(readEnvFile(join(directory, name))), ({ message }) => message)
      expect(yield* of("directory")).toContain("it is a directory")
      expect(yield* of("link")).toContain("it is a link to a missing file")
      symlinkSync("circle", join(directory, "circle"))
      expect(yield* of("circle")).toContain("it is a link to itself")
      // A path below a file cannot exist.
      writeFileSync(join(directory, "file"), "")
      expect(yield* of("file/.env")).toContain("ENOTDIR")
    }),
  )

  // The superuser may read everything. Then the test of the command line runs as another user.
  it.scopedLive.skipIf(process.getuid?.() === 0)("is refused where this user may not read it", () =>
    Effect.gen(function* () {
      const path = yield* written(`PAYCOMBAT_TOKEN=${SECRET}`)
      chmodSync(path, 0)
      expect((yield* Effect.flip(readEnvFile(path))).message).toContain("this user may not read it")
    }),
  )
})

it.scopedLive("a comment and the value of another variable may name a setting", () =>
  Effect.gen(function* () {
    const text = "# set PAYCOMBAT_TOKEN=x\nNOTE=see DATABASE_URL=y\nOTHER: PAYCOMBAT_TOKEN=z\n"
    expect(yield* read(text)).toEqual({ NOTE: "see DATABASE_URL=y", OTHER: "PAYCOMBAT_TOKEN=z" })
  }),
)

it.scopedLive("a missing file sets nothing", () =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    expect(yield* readEnvFile(join(directory, ".env"))).toBeUndefined()
  }),
)
