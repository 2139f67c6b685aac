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

/** The commands that pin a transaction, as one message to the server. */
export const PIN = [
  PIN_PATH,
  ...Object.entries(PLAIN).map(([name, value]) => `SET LOCAL ${name} = ${value}`),
].join("; ")
