/** Describes refusals of Postgres and of the file system to the operator, in one line with the next step. */

/** Postgres did not keep rows that were written. The message says what to do. */
export class NotStored extends Error {
  override readonly name = "NotStored"
}

/** SQLSTATE classes whose message quotes the refused value, which belongs into `sync.rejects` and not into a log. */
const VALUE_CLASSES = /^(22|23|54)/

/** SQLSTATE of an error from Postgres, or the code of an error of its connection; undefined for other errors. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

const NEXT_STEPS: ReadonlyArray<readonly [code: RegExp, step: string]> = [
  [/^28/, "check user and password of DATABASE_URL, and pg_hba.conf"],
  [/^3D000$/, "create the database, or name another in DATABASE_URL"],
  [/^(ENOTFOUND|EAI_AGAIN)$/, "check the host in DATABASE_URL, and this machine's DNS"],
  [/^NOT_POSTGRES$/, "check host and port of DATABASE_URL: something else may listen there"],
  [/^CONNECT_UNFIT$/, "check target_session_attrs and the hosts of DATABASE_URL"],
  [
    /^(ECONNREFUSED|CONNECT_TIMEOUT|EHOSTUNREACH|ENETUNREACH)$/,
    "check that it is up, and host and port of DATABASE_URL",
  ],
  [
    /^(CONNECTION_|ECONN|EPIPE|ETIMEDOUT|08|57P)/,
    "the connection was lost; what was committed stays, run again when it is back",
  ],
  [/^53100$/, "its disk is full: free some space there, then run again; what was committed stays"],
  [/^53200$/, "it is out of memory: run again when it has less to do, or give it more"],
  [
    /^53300$/,
    "all its connections are taken: raise max_connections, end others, or put a pooling proxy before it",
  ],
  [
    /^25006$/,
    "nothing can be written there: connect to the primary, and see whether default_transaction_read_only is on",
  ],
  [/^42501$/, "connect as the role that owns the warehouse, or run `paycombat-sync migrate` as its owner"],
  [/^0A000$/, "see which rule that table has, and remove it"],
  [
    /^57014$/,
    "a time limit cut it short: see what keeps it waiting in pg_stat_activity, or raise statement_timeout of this login",
  ],
  [
    /^25P0[34]$/,
    "a time limit ended the transaction: raise idle_in_transaction_session_timeout of this login",
  ],
  [
    /^(55P03|40P01)$/,
    "another session holds a lock on it: see pg_stat_activity, and run again when it is done",
  ],
  [/^(42P01|3F000|42703)$/, "tables are missing or others than expected: run `paycombat-sync migrate`"],
  [
    /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO/,
    "TLS failed: check sslmode of DATABASE_URL, and name the file of its authority in sslrootcert",
  ],
  [VALUE_CLASSES, "run again; if it stays so, see in the log of Postgres which one, and report it"],
]
const NEXT_STEP_OTHERWISE = "run again; if it stays so, see the log of Postgres"

/** Next steps by code of the file system. The first match counts. `place` is the thing to choose another one of. */
const FILE_STEPS: ReadonlyArray<readonly [code: RegExp, step: (place: string) => string]> = [
  [/^ENOENT$/, place => `check that its directory is there, or choose another ${place}`],
  [/^E(EXIST|NOTDIR|ISDIR)$/, place => `something else is there: move it, or choose another ${place}`],
  [/^E(ACCES|PERM|ROFS)$/, place => `let this user read and write there, or choose another ${place}`],
  [/^E(NOSPC|DQUOT|FBIG)$/, place => `free some space there, or choose another ${place}`],
  [/^E[MN]FILE$/, () => "raise the limit of open files (ulimit -n), and run again"],
]

export const fileStep = (code: string, place: string): string =>
  FILE_STEPS.find(([codes]) => codes.test(code))?.[1](place) ??
  `run again; if it stays so, check the disk, or choose another ${place}`

/** Codes that the operator must set right first. An unknown host is none: a resolver at boot says the same of a right one. */
const SETTINGS = /^(28...|3D000)$/

export const isSettings = (code: string | undefined): boolean => code !== undefined && SETTINGS.test(code)

/** Postgres' own words, in one line for a log. Never holds a value, a key or a password. */
export const wordsOf = (error: unknown): string => {
  const code = sqlState(error)
  if (code !== undefined && VALUE_CLASSES.test(code)) return `Postgres refused a value (SQLSTATE ${code})`
  const message = error instanceof Error ? error.message || String(code) : String(error)
  return `Postgres: ${message.split("\n")[0]!.replace(/\.$/, "")}${code === undefined ? "" : ` (${code})`}`
}

export const describeFailure = (error: unknown): string => {
  if (error instanceof NotStored) return error.message
  const step = NEXT_STEPS.find(([codes]) => codes.test(sqlState(error) ?? ""))?.[1] ?? NEXT_STEP_OTHERWISE
  return `${wordsOf(error)}: ${step}.`
}
