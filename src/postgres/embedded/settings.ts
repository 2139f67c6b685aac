/**
 * Written to `postgresql.conf` when a cluster is made, and never again: a person may tune them there.
 * Chosen for a small machine that loads in bulk and answers a few analysts.
 */
const TUNING: ReadonlyArray<readonly [name: string, value: string, why: string]> = [
  [
    "shared_buffers",
    "256MB",
    "the upper levels of every index stay in memory while a load touches all of them",
  ],
  ["work_mem", "32MB", "running balances sort; few sessions do so at once"],
  ["maintenance_work_mem", "128MB", "a migration that builds an index over millions of rows"],
  ["effective_cache_size", "1GB", "what a small machine's page cache can be expected to hold"],
  ["random_page_cost", "1.1", "solid-state disks; the answer about one owner must choose its index"],
  ["wal_level", "minimal", "nobody replicates from here; a restore then needs no log for the rows it loads"],
  ["max_wal_senders", "0", "required by wal_level = minimal"],
  ["max_wal_size", "2GB", "a first load would otherwise checkpoint, and log whole pages again, every minute"],
  ["checkpoint_timeout", "15min", "the same; recovery stays bounded by max_wal_size"],
  ["timezone", "'UTC'", "days are UTC"],
  ["log_timezone", "'UTC'", "the same"],
  ["log_min_messages", "log", "an error's text quotes values; the client is told, the log file is not"],
  ["log_min_error_statement", "panic", "no statement, hence no customer, in the log file"],
  ["log_error_verbosity", "terse", "the same for an error's details"],
  ["log_checkpoints", "off", "the log file is not rotated while the server is up: keep it short"],
  ["log_autovacuum_min_duration", "-1", "the same"],
]

export const tuningFile = (): string =>
  [
    "",
    "# Set by paycombat-sync when it made this cluster. Change what you like; it does not write here again.",
    ...TUNING.map(([name, value, why]) => `${name} = ${value}  # ${why}`),
    "",
  ].join("\n")

/** Given on the command line at every start, where no file can change them: safety rests on these. */
export const startSettings = (port: number): Readonly<Record<string, string>> => ({
  listen_addresses: "127.0.0.1",
  port: String(port),
  // No socket file: it could not be in a path longer than 107 bytes, nor in a directory that others may use.
  unix_socket_directories: "",
  // Containers give /dev/shm 64 MB, on which parallel joins fail. Postgres needs System V memory on Linux anyway.
  ...(process.platform === "linux" ? { dynamic_shared_memory_type: "sysv" } : {}),
})

/**
 * Loopback, by password, two logins. The superuser is not among them: nobody can log in as it, and nothing here
 * needs it once the cluster is made.
 */
export const HOST_BASED_AUTHENTICATION = `# Written by paycombat-sync.
host all paycombat       127.0.0.1/32 scram-sha-256
host all paycombat_query 127.0.0.1/32 scram-sha-256
`

/** Longest that one statement of the reader's login may run, and a transaction of its may lie idle: both hold back vacuum and migrations. */
const READER_LIMIT = "10min"
const READER_CONNECTIONS = 20

export interface Passwords {
  readonly ownerPassword: string
  readonly readerPassword: string
}

/**
 * Run once, by the superuser in single-user mode, in `template1`: what is taken from PUBLIC there is taken in
 * every database made later. One statement per line, as that mode wants it.
 *
 * - `paycombat` owns the database and is no superuser.
 * - `paycombat_reader` is the group that `migrate` grants `analytics` to.
 * - `paycombat_query` is its one login. Read-only is its default, not its wall: the wall is that it has no right
 *   to anything, not even those that Postgres gives everybody (temporary tables, large objects, schema public).
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
  // A migration waits for such a lock: nobody but the owner may hold one.
  "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE '%advisory%' LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO paycombat', f); END LOOP; END $$",
  "CREATE DATABASE paycombat OWNER paycombat",
  "REVOKE ALL ON DATABASE paycombat, postgres, template1 FROM PUBLIC",
  "GRANT CONNECT ON DATABASE paycombat TO paycombat_reader",
  // Where the keepers meet: advisory locks are per database, and here a reader cannot take one.
  "GRANT CONNECT ON DATABASE postgres TO paycombat",
]
