/** Advice for a failed request, at the end of each error. It tells if waiting for the next run is enough. */

const NEXT_RUN = "the next run asks again; if it stays so,"

const CONNECTION_ADVICE: ReadonlyArray<readonly [code: RegExp, advice: string]> = [
  [
    /^(ENOTFOUND|EAI_AGAIN)$/,
    `its name is not known; ${NEXT_RUN} check the host in PAYCOMBAT_BASE_URL, and this machine's DNS`,
  ],
  [/^ECONNREFUSED$/, `no server listens there; ${NEXT_RUN} check host and port of PAYCOMBAT_BASE_URL`],
  [
    /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO/,
    "TLS failed; check that the address is https:// where it must be, and this machine's clock; behind a proxy that opens TLS, put its certificate in NODE_EXTRA_CA_CERTS",
  ],
  [
    /TIMEOUT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/,
    `no way there; ${NEXT_RUN} check the firewall; if a proxy is needed, set HTTPS_PROXY`,
  ],
]

export const adviceForConnection = (code: string | undefined, unusedProxy?: string): string => {
  const advice =
    CONNECTION_ADVICE.find(([codes]) => codes.test(code ?? ""))?.[1] ??
    `${NEXT_RUN} check PAYCOMBAT_BASE_URL and the way there, or ask PayCombat`
  return unusedProxy === undefined
    ? advice
    : `${advice}; the proxy in ${unusedProxy} speaks no HTTP and is not used: where a proxy is needed, set HTTPS_PROXY to an HTTP proxy`
}

const CHECK_PROXY = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; hosts in NO_PROXY are asked directly"

export const ADVICE_PROXY_CONNECTION = `${NEXT_RUN} ${CHECK_PROXY}`

export const adviceForProxy = (status: number): string => {
  if (status === 407)
    return "put the user and the password that it asks for into its address, and percent-encode them"
  return `ask the operator of the proxy if it lets this host through; ${CHECK_PROXY}`
}

const CHECK_ADDRESS = "check that PAYCOMBAT_BASE_URL is the API's address"
const TOO_FAST = `${NEXT_RUN} lower PAYCOMBAT_RATE_PER_SECOND`
const THEIRS = `${NEXT_RUN} ask PayCombat`

export const adviceForStatus = (status: number): string => {
  if (status < 400) return CHECK_ADDRESS
  if (status === 429) return TOO_FAST
  if (status === 408 || status >= 500) return THEIRS
  if (status === 403) return "this token may not read this endpoint; ask PayCombat for access"
  if (status === 404) return "nothing at this path; check it, or ask PayCombat where it is"
  return "ask PayCombat what it refuses"
}

export const ADVICE_TIMEOUT = `${NEXT_RUN} raise PAYCOMBAT_TIMEOUT_SECONDS, or lower PAYCOMBAT_PAGE_SIZE`
export const ADVICE_CUT_BODY = `${NEXT_RUN} lower PAYCOMBAT_PAGE_SIZE, or ask PayCombat`
export const ADVICE_NO_BODY = THEIRS
export const ADVICE_NOT_JSON = `${CHECK_ADDRESS}; if it is, ${NEXT_RUN} ask PayCombat, or the operator of a proxy in between`
export const ADVICE_FAILED = "ask PayCombat why"
