import { access, constants, stat, statfs } from "node:fs/promises"
import { Effect } from "effect"
import type postgres from "postgres"
import { interferences, interferenceWords } from "../../postgres/interference.ts"
import type { SqlEffect } from "../../postgres/shape.ts"
import { read } from "../../postgres/statements.ts"
import { excessOfReader, READER_ROLE } from "../schema/grants.ts"
import { plantedByOthers } from "../schema/planted.ts"
import { schemasOpenToOthers } from "../schema/schemaRights.ts"

/** Examines a Postgres and changes nothing: its version, the rights of this login, and the warehouse. */

export interface DatabaseFacts {
  readonly version: string
  /** 180004 for 18.4. */
  readonly versionNumber: number
  readonly encoding: string
  readonly login: string
  readonly isSuperuser: boolean
  /** True if the login may create schemas in this database, as the first migration does. */
  readonly mayCreate: boolean
  readonly mayCreateRoles: boolean
  /** True for a standby, or a database that is read-only by default. */
  readonly isReadOnly: boolean
  /** Role that owns the warehouse; null if there is none yet. `mayOwn`: this login may act as that role. */
  readonly owner: string | null
  readonly mayOwn: boolean
  readonly hasReaderRole: boolean
  /** Settings of durability: `on`, unless an administrator chose speed. */
  readonly fsync: string
  readonly fullPageWrites: string
  /** The server's time, and this machine's time before and after it was read. */
  readonly now: Date
  readonly askedAt: Date
  readonly answeredAt: Date
}

/** Oldest supported Postgres, as its `server_version_num`. */
export const OLDEST_VERSION = 140_000

export const databaseFacts = (sql: postgres.Sql): SqlEffect<DatabaseFacts> =>
  read(async () => {
    const askedAt = new Date()
    const [clock] = await sql<Array<{ now: string }>>`SELECT clock_timestamp() AS now`
    const answeredAt = new Date()
    const [row] = await sql<Array<Record<string, string | null>>>`
      SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS version_number,
        pg_encoding_to_char(d.encoding) AS encoding, current_user AS login, r.rolsuper::text AS is_superuser,
        has_database_privilege(d.oid, 'CREATE')::text AS may_create,
        (r.rolsuper OR r.rolcreaterole)::text AS may_create_roles,
        (pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean)::text AS is_read_only,
        (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'sync') AS owner,
        (SELECT pg_has_role(nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = 'sync')::text AS may_own,
        (to_regrole(${READER_ROLE}) IS NOT NULL)::text AS has_reader_role,
        current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes
      FROM pg_database d, pg_roles r
      WHERE d.datname = current_database() AND r.rolname = current_user`
    const isTrue = (name: string) => row![name] === "true"
    return {
      version: row!.version!,
      versionNumber: Number(row!.version_number),
      encoding: row!.encoding!,
      login: row!.login!,
      isSuperuser: isTrue("is_superuser"),
      mayCreate: isTrue("may_create"),
      mayCreateRoles: isTrue("may_create_roles"),
      isReadOnly: isTrue("is_read_only"),
      owner: row!.owner ?? null,
      mayOwn: isTrue("may_own"),
      hasReaderRole: isTrue("has_reader_role"),
      fsync: row!.fsync!,
      fullPageWrites: row!.full_page_writes!,
      now: new Date(clock!.now),
      askedAt,
      answeredAt,
    }
  })

/**
 * Lists other roles that may create in our schemas or in those of this login's path, their code that runs with our rights,
 * and the triggers, rules and policies that decide what our tables store. Each line has the command that ends it.
 */
export const foreignInfluences = (sql: postgres.Sql): SqlEffect<ReadonlyArray<string>> =>
  read(
    () =>
      sql.begin("read only", async tx => [
        ...(await schemasOpenToOthers(tx)),
        ...(await plantedByOthers(tx)),
        ...(await interferences(tx)).filter(({ planter }) => planter === null).map(interferenceWords),
      ]) as Promise<ReadonlyArray<string>>,
  )

/** Lists the tables that the reader's role can read itself. It needs none of them to read analytics. */
export const readableByRole = (sql: postgres.Sql): SqlEffect<ReadonlyArray<string>> =>
  read(() => excessOfReader(sql))

/** The rule for a kind of event: +1, −1, 0, or null where no rule answers. Assumed until a person confirms the rule. */
export interface StoredDirection {
  readonly direction: -1 | 0 | 1 | null
  readonly isAssumed: boolean
}

/**
 * Reads the rule of `analytics` for each kind of event, in the order asked. Undefined for a kind that no stored transaction
 * has: rules are applied to what is stored.
 */
export const directionsOf = (
  sql: postgres.Sql,
  events: ReadonlyArray<{
    readonly type: string
    readonly name: string | null
    readonly isNegative: boolean
  }>,
): SqlEffect<ReadonlyArray<StoredDirection | undefined>> =>
  read(async () => {
    const rows = await sql<Array<StoredDirection & { isStored: boolean }>>`
      SELECT rule.event_type IS NOT NULL AS "isStored", rule.direction::int AS direction, rule.is_assumed AS "isAssumed"
      FROM jsonb_array_elements(${JSON.stringify(events)}::text::jsonb) WITH ORDINALITY AS asked (event, ordinal)
      LEFT JOIN analytics.event_direction AS rule
        ON rule.event_type = event ->> 'type' AND rule.event_name = coalesce(event ->> 'name', '')
          AND rule.is_negative = (event ->> 'isNegative')::boolean
      ORDER BY asked.ordinal`
    return rows.map(({ isStored, direction, isAssumed }) => (isStored ? { direction, isAssumed } : undefined))
  })

export interface DirectoryFacts {
  readonly isWritable: boolean
  readonly freeBytes: number
  /** User id of the files' owner, as which the server runs. */
  readonly ownerId: number
}

/** Examines the directories of the embedded server. This process writes `home`, and the server writes `data`. */
export const directoryFacts = (home: string, data: string): Effect.Effect<DirectoryFacts | undefined> =>
  Effect.tryPromise(async () => {
    const isWritable = await access(home, constants.W_OK).then(
      () => true,
      () => false,
    )
    const { bavail, bsize } = await statfs(data)
    return { isWritable, freeBytes: bavail * bsize, ownerId: (await stat(data)).uid }
  }).pipe(Effect.orElseSucceed(() => undefined))
