/** What each of the owner's transactions begins with, so that no setting of a role or database reaches a statement. */

/**
 * Operators and functions are looked up in `pg_catalog` alone: on a path with a schema that others may create in, such as
 * `public` before Postgres 15, a function of theirs would run with the rights of this login. `pg_temp` is named because an
 * unnamed one comes first.
 *
 * It is a command, which looks up nothing itself; and it is part of the transaction, because a proxy that pools by
 * transaction refuses or loses a path that is set when a connection starts.
 */
export const PIN_PATH = "SET LOCAL search_path = pg_catalog, pg_temp"

/** How values become text, and text becomes values. Each may be set by `ALTER ROLE` or `ALTER DATABASE`. */
const PLAIN: Readonly<Record<string, string>> = {
  DateStyle: "'ISO, MDY'",
  IntervalStyle: "'postgres'",
  TimeZone: "'UTC'",
  extra_float_digits: "1",
  bytea_output: "'hex'",
  lc_monetary: "'C'",
  lc_numeric: "'C'",
  lc_time: "'C'",
  array_nulls: "on",
  standard_conforming_strings: "on",
  transform_null_equals: "off",
  quote_all_identifiers: "off",
  xmlbinary: "'base64'",
}

/**
 * Time after which Postgres ends a transaction whose client is not heard of: its connection may be silent, and what it
 * locked would stay locked for hours. `inLeaseTx` sets its own.
 */
const PAUSE_MAX = "60s"

/**
 * The commands that pin a transaction, as one message to the server. The last one answers which session has it: a proxy
 * that pools by transaction gives a client another process id than its session's.
 */
export const PIN = [
  PIN_PATH,
  ...Object.entries(PLAIN).map(([name, value]) => `SET LOCAL ${name} = ${value}`),
  `SET LOCAL idle_in_transaction_session_timeout = '${PAUSE_MAX}'`,
  'SELECT pg_backend_pid() AS pid, transaction_timestamp()::text AS "begunAt"',
].join("; ")
