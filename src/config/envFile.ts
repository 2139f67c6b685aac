import { lstat, open } from "node:fs/promises"
import { parse } from "dotenv"
import { Effect } from "effect"
import { ConfigurationError } from "../core/errors.ts"

/** Reads `.env`. Settings that are there and cannot be read are an error: defaults in their place could do harm. */

/** Largest `.env` that is read, in bytes: a file of settings has a few thousand. */
const BYTES_MAX = 1_000_000

const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: "this user may not read it. Give it to this user (chown, chmod 600), or run this as its owner",
  EISDIR:
    "it is a directory, which container tools make in place of a file that is missing. Remove it, or put the file there",
  ENOENT: "it is a link to a file that is not there. Mend the link, or remove it",
  ELOOP: "it is a link that leads back to itself. Mend the link, or remove it",
}

const refuse = (path: string, why: string) =>
  new ConfigurationError({ message: `Cannot read the settings in ${path}: ${why}.` })

/** The file's bytes; undefined where nothing has its name. A pipe is read to its end: some password managers serve one. */
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
          throw refuse(path, `it is larger than ${BYTES_MAX} bytes, and no file of settings`)
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
    throw refuse(path, REMEDIES[code === "EPERM" ? "EACCES" : code] ?? code)
  }
}

/** UTF-16 text in Latin letters has a zero in every other byte. */
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
    // Takes a byte order mark away.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw refuse(path, `it is not UTF-8. ${SAVE}`)
  }
}

/** A line that seems to set one of this program's variables. */
const OURS = /^\s*(?:export\s+)?((?:PAYCOMBAT_\w*|DATABASE_URL)(?![\w.-]))(.*)$/
/** One of this program's variables further on in a line, as in `set NAME=value` or `$env:NAME="value"`. */
const OURS_LATER = /^[^=]*?(?<![\w.-])((?:PAYCOMBAT_\w+|DATABASE_URL))\s*[=:]/
const COMMENT = /^\s*#/
/** The parser would take the rest of an unquoted value for a comment. */
const CUT_SHORT = /^\s*[=:]\s*(?!['"`#])[^#]*[^\s#]#/

/** Refuses the lines that the parser would pass over or cut short. Never quotes a value. */
const refuseMisread = (path: string, text: string, variables: Readonly<Record<string, string>>): void => {
  for (const [index, line] of text.split(/\r\n?|\n/).entries()) {
    if (COMMENT.test(line)) continue
    const [, name, rest = ""] = OURS.exec(line) ?? []
    if (name === undefined) {
      const [, later] = OURS_LATER.exec(line) ?? []
      if (later !== undefined && Object.keys(parse(line)).length === 0)
        throw refuse(
          path,
          `line ${index + 1}, which names ${later}, sets nothing. Write it as ${later}=value`,
        )
      continue
    }
    const where = `line ${index + 1}, which begins with ${name},`
    if (!Object.hasOwn(variables, name))
      throw refuse(path, `${where} sets nothing. Write it as ${name}=value`)
    if (CUT_SHORT.test(rest))
      throw refuse(
        path,
        `${where} has a # in its value, which would begin a comment. Put the value in quotes`,
      )
  }
}

/**
 * The variables that a `.env` file sets, by dotenv's rules without expansion of `$`; undefined where there is no such
 * file. `ConfigurationError` names the file and the reason where it is there and cannot be read as it was meant.
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
