import { Either } from "effect"

/** Checks the address of an API before any request. */

/** Ports that `fetch` refuses (WHATWG Fetch, "bad port"), with an error that does not name the port. */
export const REFUSED_PORTS: ReadonlySet<number> = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
  109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
  526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
  3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
])

/** Host names and addresses as `URL` writes them: letters, digits, inner dashes and underscores, and single dots. */
const HOST = /^(?:\[[\da-f:.]+\]|[a-z\d_](?:[\w-]*[a-z\d_])?(?:\.[a-z\d_](?:[\w-]*[a-z\d_])?)*\.?)$/

/** Parts of a path that lead up or nowhere, also in their encoded spelling: `URL` takes them away in silence. */
const DOTS = /\/(?:\.|%2e){1,2}(?:\/|$)/i
const BROKEN_ENCODING = /%(?![\da-f]{2})/i

const BEGINNING = /^https?:\/\/[^/?#]/i

/**
 * Returns the address, or the reason against it, as the end of a sentence about a variable. Refuses query and fragment:
 * paths are appended. Never quotes the address, which may hold a password.
 */
export const judgeBaseUrl = (value: string): Either.Either<string, string> => {
  if (/[\s\\]/.test(value)) return Either.left("must be an address without white space and backslashes")
  if (!BEGINNING.test(value) || !URL.canParse(value))
    return Either.left("must be an http:// or https:// address with a host")
  const { username, password, port, hostname } = new URL(value)
  if (username !== "" || password !== "" || /^[^/]*\/\/[^/?#]*@/.test(value))
    return Either.left("must not hold a user or password (…@): the token is the only credential")
  if (!HOST.test(hostname)) return Either.left("must name a valid host: letters, digits, dashes and dots")
  if (value.includes("#")) return Either.left("must not have a fragment (#…)")
  if (value.includes("?")) return Either.left("must not have a query (?…)")
  if (DOTS.test(value)) return Either.left("must not have . or .. as a part of its path")
  if (BROKEN_ENCODING.test(value))
    return Either.left("must not hold a % that begins no encoded character, such as %20")
  if (REFUSED_PORTS.has(Number(port === "" ? 443 : port)))
    return Either.left(`must not name port ${port}, to which fetch sends no HTTP request`)
  return Either.right(value)
}
