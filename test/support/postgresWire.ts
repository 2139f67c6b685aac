import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto"

/** As much of Postgres' wire protocol as a proxy needs to see where transactions begin and end. */

/** Splits a stream of bytes into messages: a type (none in the first one of a client), a length, a body. */
export const framer = (hasType: () => boolean, take: (frame: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk: Buffer): void => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      const head = hasType() ? 1 : 0
      if (rest.length < head + 4) return
      const length = head + rest.readInt32BE(head)
      if (rest.length < length) return
      const frame = rest.subarray(0, length)
      rest = rest.subarray(length)
      take(frame)
    }
  }
}

export const typeOf = (frame: Buffer): string => String.fromCharCode(frame[0]!)

export const message = (type: string, ...parts: ReadonlyArray<Buffer | string>): Buffer => {
  const body = Buffer.concat(parts.map(part => (typeof part === "string" ? Buffer.from(part) : part)))
  const head = Buffer.alloc(type.length + 4)
  head.write(type)
  head.writeInt32BE(body.length + 4, type.length)
  return Buffer.concat([head, body])
}

export const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const PROTOCOL = 196_608
/** Codes that stand in the place of a protocol version. */
export const SSL_REQUEST = 80_877_103
export const CANCEL_REQUEST = 80_877_102

export const startup = (user: string, database: string): Buffer =>
  message("", int32(PROTOCOL), `user\0${user}\0database\0${database}\0client_encoding\0UTF8\0\0`)

/** Parameters of a client's first message. */
export const parametersOf = (frame: Buffer): ReadonlyMap<string, string> => {
  const words = frame.subarray(8).toString("utf8").split("\0")
  const pairs = new Map<string, string>()
  for (let i = 0; i + 1 < words.length && words[i] !== ""; i += 2) pairs.set(words[i]!, words[i + 1]!)
  return pairs
}

/** The SQL of a Query or Parse message. */
export const sqlOf = (frame: Buffer): string => {
  const text = frame.subarray(5).toString("utf8")
  return typeOf(frame) === "P" ? (text.split("\0")[1] ?? "") : (text.split("\0")[0] ?? "")
}

const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest()

/** Answers a server's questions about a password; undefined where it asked nothing that needs an answer. */
export const authenticator = (password: string) => {
  const nonce = randomBytes(18).toString("base64")
  const bare = `n=,r=${nonce}`
  return (frame: Buffer): Buffer | undefined => {
    const kind = frame.readInt32BE(5)
    if (kind === 10) {
      const first = Buffer.from(`n,,${bare}`)
      return message("p", "SCRAM-SHA-256\0", int32(first.length), first)
    }
    if (kind !== 11) return undefined
    const server = frame.subarray(9).toString("utf8")
    const fields = new Map(server.split(",").map(field => [field[0], field.slice(2)]))
    const salt = Buffer.from(fields.get("s")!, "base64")
    const salted = pbkdf2Sync(password, salt, Number(fields.get("i")), 32, "sha256")
    const client = hmac(salted, "Client Key")
    const last = `c=biws,r=${fields.get("r")}`
    const stored = createHash("sha256").update(client).digest()
    const signature = hmac(stored, `${bare},${server},${last}`)
    const proof = Buffer.from(client.map((byte, i) => byte ^ signature[i]!)).toString("base64")
    return message("p", `${last},p=${proof}`)
  }
}
