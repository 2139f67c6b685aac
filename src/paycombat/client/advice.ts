/**
 * What to do about a request that failed, by what came of it: the end of every error of the client, and of doctor's
 * lines. They are read at night, so each says whether the next run may be waited for.
 */

const NEXT_RUN = "the next run asks again; if it stays so,"

/** Codes of a connection that was not made, or that broke. The first that fits. */
const OF_CONNECTION: ReadonlyArray<readonly [code: RegExp, remedy: string]> = [
  [
    /^(ENOTFOUND|EAI_AGAIN)$/,
    `its name is not known; ${NEXT_RUN} check the host in PAYCOMBAT_BASE_URL, and this machine's DNS`,
  ],
  [/^ECONNREFUSED$/, `nobody listens there; ${NEXT_RUN} check host and port of PAYCOMBAT_BASE_URL`],
  [
    /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO/,
    "TLS failed; check that the address is https:// where it must be, and this machine's clock; behind a proxy that opens TLS, put its certificate in NODE_EXTRA_CA_CERTS",
  ],
  [
    /TIMEOUT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/,
    `no way there; ${NEXT_RUN} check the firewall; where a proxy is needed, set HTTPS_PROXY`,
  ],
]

export const ofConnection = (code: string | undefined): string =>
  OF_CONNECTION.find(([codes]) => codes.test(code ?? ""))?.[1] ??
  `${NEXT_RUN} check PAYCOMBAT_BASE_URL and the way there, or ask PayCombat`

const CHECK_PROXY = "check HTTPS_PROXY and HTTP_PROXY; hosts in NO_PROXY are asked directly"

/** Of a connection by way of a proxy: either may have failed, or the way between them. */
export const OF_PROXY_CONNECTION = `${NEXT_RUN} ${CHECK_PROXY}`

/** Of a proxy that makes no connection, by its status. */
export const ofProxy = (status: number): string => {
  if (status === 407)
    return "put the user and the password that it asks for into its address, and percent-encode them"
  return `ask who runs the proxy whether it lets this host through; ${CHECK_PROXY}`
}

const CHECK_ADDRESS = "check that PAYCOMBAT_BASE_URL is the API's address"
const TOO_FAST = `${NEXT_RUN} lower PAYCOMBAT_RATE_PER_SECOND`
const THEIRS = `${NEXT_RUN} ask PayCombat`

/** Of an answer whose status, or whose envelope's code, says that it may pass. */
export const ofPassing = (status: number): string => (status === 429 ? TOO_FAST : THEIRS)

/** Of a definite refusal, or a redirect. */
export const ofRefusal = (status: number): string => {
  if (status < 400) return CHECK_ADDRESS
  if (status === 403) return "this token may not read this endpoint; ask PayCombat for access"
  if (status === 404) return "nothing at this path; check it, or ask PayCombat where it is"
  return "ask PayCombat what it refuses"
}

export const OF_TIMEOUT = `${NEXT_RUN} raise PAYCOMBAT_TIMEOUT_SECONDS, or lower PAYCOMBAT_PAGE_SIZE`
export const OF_CUT_BODY = `${NEXT_RUN} lower PAYCOMBAT_PAGE_SIZE, or ask PayCombat`
export const OF_NO_BODY = THEIRS
/** Of an answer that is not JSON: a login, a proxy, a page that says "back soon". */
export const OF_NO_JSON = `${CHECK_ADDRESS}; if it is, ${NEXT_RUN} ask PayCombat, or whoever runs a proxy in between`
export const OF_FAILED = "ask PayCombat why"
