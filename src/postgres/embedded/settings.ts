/**
 * Settings written to `postgresql.conf` when a cluster is created, and never again, so that a person may tune them.
 * Chosen for a small machine with bulk loads and a few analysts.
 */
const TUNING: ReadonlyArray<readonly [name: string, value: string, reason: string]> = [
  [
    "shared_buffers",
    "256MB",
    "the upper levels of every index stay in memory while a load touches all of them",
  ],
  ["work_mem", "32MB", "running balances sort; few sessions do so at once"],
  ["maintenance_work_mem", "128MB", "a migration that builds an index over millions of rows"],
  ["effective_cache_size", "1GB", "expected page cache of a small machine"],
  ["random_page_cost", "1.1", "solid-state disks; a query about one owner must use its index"],
  ["wal_level", "minimal", "no replication from here; a restore then writes no log for the rows it loads"],
  ["max_wal_senders", "0", "required by wal_level = minimal"],
  ["max_wal_size", "2GB", "otherwise a first load would checkpoint, and log whole pages again, every minute"],
  ["checkpoint_timeout", "15min", "the same; recovery stays bounded by max_wal_size"],
  ["timezone", "'UTC'", "days are UTC"],
  ["log_timezone", "'UTC'", "the same"],
  ["log_min_messages", "log", "an error's text quotes values; the client gets it, the log file does not"],
  ["log_min_error_statement", "panic", "no statement, hence no customer, in the log file"],
  ["log_error_verbosity", "terse", "the same for an error's details"],
  ["log_checkpoints", "off", "the log file is not rotated while the server is up: keep it short"],
  ["log_autovacuum_min_duration", "-1", "the same"],
]

export const tuningFile = (): string =>
  [
    "",
    "# Set by paycombat-sync when it created this cluster. Change anything; it does not write here again.",
    ...TUNING.map(([name, value, reason]) => `${name} = ${value}  # ${reason}`),
    "",
  ].join("\n")

/** Settings on the command line of every start. No file can change them, because safety depends on them. */
export const startSettings = (port: number): Readonly<Record<string, string>> => ({
  listen_addresses: "127.0.0.1",
  port: String(port),
  // No socket file: its path could exceed 107 bytes, or its directory could be open to others.
  unix_socket_directories: "",
  // Containers limit /dev/shm to 64 MB, on which parallel joins fail. Postgres needs System V memory on Linux anyway.
  ...(process.platform === "linux" ? { dynamic_shared_memory_type: "sysv" } : {}),
})

/** Loopback only, by password, two logins. The superuser cannot log in, and nothing needs it after the creation. */
export const HOST_BASED_AUTHENTICATION = `# Written by paycombat-sync.
host all paycombat       127.0.0.1/32 scram-sha-256
host all paycombat_query 127.0.0.1/32 scram-sha-256
`

/** Longest statement and longest idle transaction of the reader's login. Both hold back vacuum and migrations. */
const READER_LIMIT = "10min"
const READER_CONNECTIONS = 20

export interface Passwords {
  readonly ownerPassword: string
  readonly readerPassword: string
}

/**
 * Statements that the superuser runs once, in single-user mode, in `template1`, so that every later database inherits
 * what they revoke from PUBLIC. One statement per line, because that mode needs it.
 *
 * - `paycombat` owns the database, and is not a superuser.
 * - `paycombat_reader` is the group that `migrate` grants `analytics` to.
 * - `paycombat_query` is the only login of that group. Read-only is its default, but not its protection: it has no right
 *   to anything else, not even the rights that Postgres gives everyone (temporary tables, large objects, schema public).
 */
export const bootstrapStatements = (passwords: Passwords): ReadonlyArray<string> => [
  `CREATE ROLE paycombat LOGIN PASSWORD '${passwords.ownerPassword}'`,
  "CREATE ROLE paycombat_reader NOLOGIN",
  `CREATE ROLE paycombat_query LOGIN PASSWORD '${passwords.readerPassword}' CONNECTION LIMIT ${READER_CONNECTIONS} IN ROLE paycombat_reader`,
  "ALTER ROLE paycombat_query SET default_transaction_read_only = on",
  `ALTER ROLE paycombat_query SET statement_timeout = '${READER_LIMIT}'`,
  `ALTER ROLE paycombat_query SET idle_in_transaction_session_timeout = '${READER_LIMIT}'`,
  "REVOKE ALL ON SCHEMA public FROM PUBLIC",
  "GRANT ALL ON SCHEMA public TO pg_database_owner",
  "REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC",
  // A migration waits for an advisory lock, so only the owner may hold one.
  "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE '%advisory%' LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO paycombat', f); END LOOP; END $$",
  "CREATE DATABASE paycombat OWNER paycombat",
  "REVOKE ALL ON DATABASE paycombat, postgres, template1 FROM PUBLIC",
  "GRANT CONNECT ON DATABASE paycombat TO paycombat_reader",
  // Presence locks are held in database `postgres`: advisory locks are per database, and a reader cannot take one
  // there.
  "GRANT CONNECT ON DATABASE postgres TO paycombat",
]
