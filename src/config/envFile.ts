import { lstat, open } from "node:fs/promises"
import { parse } from "dotenv"
import { Effect } from "effect"
import { ConfigurationError } from "../core/errors.ts"

/** Reads `.env`. A file that exists but cannot be read is an error, because defaults in its place could do harm. */

/** Largest `.env` in bytes. A file of settings has a few thousand. */
const BYTES_MAX = 1_000_000

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: "this user may not read it. Give it to this user (chown, chmod 600), or run this as its owner",
  EISDIR:
    "it is a directory, which container tools create in place of a missing file. Remove it, or put the file there",
  ENOENT: "it is a link to a missing file. Correct the link, or remove it",
  ELOOP: "it is a link to itself. Correct the link, or remove it",
}

const refuse = (path: string, reason: string) =>
  new ConfigurationError({ message: `Cannot read the settings in ${path}: ${reason}.` })

/** Reads the file's bytes; undefined if there is none. A pipe, as of a password manager, is read to its end. */
const bytesOf = async (path: string): Promise<Buffer | undefined> => {
  try {
    const file = await open(path)
    try {
      const chunks: Array<Buffer> = []
      let bytes = 0
      for await (const chunk of file.createReadStream({ autoClose: false })) {
        chunks.push(chunk as Buffer)
        bytes += (chunk as Buffer).length
        if (bytes > BYTES_MAX)
          throw refuse(path, `it is larger than ${BYTES_MAX} bytes, too large for a file of settings`)
      }
      return Buffer.concat(chunks)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof ConfigurationError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    const isMissing =
      code === "ENOENT" &&
      (await lstat(path).then(
        () => false,
        () => true,
      ))
    if (isMissing) return undefined
    throw refuse(path, ADVICE[code === "EPERM" ? "EACCES" : code] ?? code)
  }
}

/** Detects UTF-16: text in Latin letters has a zero in every other byte. */
const looksLikeUtf16 = (bytes: Buffer): boolean => {
  if (["fffe", "feff"].includes(bytes.subarray(0, 2).toString("hex"))) return true
  const zeros = [0, 0]
  for (const [position, byte] of bytes.entries()) if (byte === 0) zeros[position % 2]!++
  return Math.max(...zeros) > bytes.length / 4 && Math.min(...zeros) === 0
}

const SAVE = "Save it as plain UTF-8 text"

const textOf = (path: string, bytes: Buffer): string => {
  if (looksLikeUtf16(bytes)) throw refuse(path, `it is UTF-16. ${SAVE}`)
  if (bytes.includes(0)) throw refuse(path, `it holds NUL bytes. ${SAVE}`)
  try {
    // The decoder removes a byte order mark.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw refuse(path, `it is not UTF-8. ${SAVE}`)
  }
}

/** A line that appears to set one of this program's variables. */
const OWN_VARIABLE = /^\s*(?:export\s+)?((?:PAYCOMBAT_\w*|DATABASE_URL)(?![\w.-]))(.*)$/
/** A variable of this program later in a line, as in `set NAME=value`, `$env:NAME="value"` or `{"NAME": "value"}`. */
const OWN_VARIABLE_LATER = /^[^=]*?(?<![\w.-])((?:PAYCOMBAT_\w+|DATABASE_URL))["']?\s*[=:]/
/** The same behind a command, with white space before its value: `setx NAME value`, `set -x NAME value`, `ENV NAME value`. */
const OWN_VARIABLE_OF_COMMAND =
  /^\s*(?:setx?|setenv|env|export)\s+(?:-\w+\s+)*(PAYCOMBAT_\w+|DATABASE_URL)\s+\S/i
/** A variable of this program within another one's value, as a unit file writes it: `Environment="NAME=value"`. */
const OWN_VARIABLE_WITHIN =
  /^\s*(?:export\s+)?(?:Environment\s*=.*?["'\s=]|[^=]*=\s*["']?)((?:PAYCOMBAT_\w+|DATABASE_URL))=/
/** A variable of this program behind the unquoted value of another one: a line sets one variable. */
const OWN_VARIABLE_BEHIND = /^\s*[=:]\s*(?!['"`])[^#]*?[\s;,&|](?:export\s+)?(PAYCOMBAT_\w+|DATABASE_URL)\s*=/
const COMMENT = /^\s*#/
/** An unquoted value with a `#`. The parser would take the rest for a comment. */
const CUT_SHORT = /^\s*[=:]\s*(?!['"`#])[^#]*[^\s#]#/

/** Refuses lines that the parser would skip or truncate. Never quotes a value. */
const refuseMisread = (path: string, text: string, variables: Readonly<Record<string, string>>): void => {
  for (const [index, line] of text.split(/\r\n?|\n/).entries()) {
    if (COMMENT.test(line)) continue
    const [, name, rest = ""] = OWN_VARIABLE.exec(line) ?? []
    if (name === undefined) {
      const [, within] = OWN_VARIABLE_WITHIN.exec(line) ?? []
      const [, later = within] = OWN_VARIABLE_LATER.exec(line) ?? OWN_VARIABLE_OF_COMMAND.exec(line) ?? []
      if (later !== undefined && (within !== undefined || Object.keys(parse(line)).length === 0))
        throw refuse(
          path,
          `line ${index + 1}, which names ${later}, sets nothing. Write it as ${later}=value`,
        )
      continue
    }
    const subject = `line ${index + 1}, which begins with ${name},`
    if (!Object.hasOwn(variables, name))
      throw refuse(path, `${subject} sets nothing. Write it as ${name}=value`)
    const [, behind] = OWN_VARIABLE_BEHIND.exec(rest) ?? []
    if (behind !== undefined)
      throw refuse(path, `${subject} also names ${behind}. Write each variable on a line of its own`)
    if (CUT_SHORT.test(rest))
      throw refuse(
        path,
        `${subject} has a # in its value, which would start a comment. Put the value in quotes`,
      )
  }
}

/**
 * Reads the variables of a `.env` file by dotenv's rules, without expansion of `$`; undefined if there is no such file.
 * Fails with a `ConfigurationError` that names the file and the reason if it cannot be read, or would be misread.
 */
export const readEnvFile = (
  path: string,
): Effect.Effect<Readonly<Record<string, string>> | undefined, ConfigurationError> =>
  Effect.tryPromise({
    try: async () => {
      const bytes = await bytesOf(path)
      if (bytes === undefined) return undefined
      const text = textOf(path, bytes)
      const variables = parse(text)
      refuseMisread(path, text, variables)
      return variables
    },
    catch: error => (error instanceof ConfigurationError ? error : refuse(path, String(error))),
  })
