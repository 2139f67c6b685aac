/** The commands at the start of the owner's transactions: no setting of a role or database reaches a statement. */

/**
 * Looks up operators and functions in `pg_catalog` alone. On a path with a schema in which others may create, such as
 * `public` before Postgres 15, their functions would run with the rights of this login. `pg_temp` is named because it
 * would come first otherwise.
 *
 * It is a command, which looks up nothing itself. It is part of the transaction, because a proxy that pools by
 * transaction refuses or loses a path that is set at the start of a connection.
 */
export const PIN_PATH = "SET LOCAL search_path = pg_catalog, pg_temp"

/** Settings of the text form of values. Each of them may be changed by `ALTER ROLE` or `ALTER DATABASE`. */
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
 * Time after which Postgres ends a transaction whose client is silent. Otherwise its locks could stay for hours.
 * `inLeaseTx` sets its own.
 */
const PAUSE_MAX = "60s"

/** The commands that pin a transaction, in one message. The last answers the session, which a proxy hides. */
export const PIN = [
  PIN_PATH,
  ...Object.entries(PLAIN).map(([name, value]) => `SET LOCAL ${name} = ${value}`),
  `SET LOCAL idle_in_transaction_session_timeout = '${PAUSE_MAX}'`,
  'SELECT pg_backend_pid() AS pid, transaction_timestamp()::text AS "begunAt"',
].join("; ")
