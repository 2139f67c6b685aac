import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { createGunzip } from "node:zlib"
import { Effect, type Redacted } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { connect } from "../../postgres/connect.ts"
import { clearAway } from "../maintain/erase.ts"
import { eraseAgain, type KeptTombstone } from "../maintain/eraseAgain.ts"
import { backupError, noWarehouse, type TellRows } from "./backup.ts"
import { linesOf, type Trailer } from "./file.ts"
import { damaged, tombstonesOf, walk } from "./reading.ts"
import { appliedMigrations, type BackupTable, backupTables, neutralSession } from "./tables.ts"

export interface RestoreSummary {
  readonly tables: number
  readonly rows: number
  /** When the backup was made, as its maker's clock said. */
  readonly takenAt: string
  /** Tombstones of erasures that were known beside the backup: of the warehouse it is restored into, or another backup. */
  readonly knownErasures: number
  /** Persons of whom the backup held something, and who were erased since: erased again. */
  readonly erasedAgain: number
}

export interface RestoreOptions {
  /** All streams: what their records say of people decides what is erased again. */
  readonly streams?: ReadonlyArray<Stream>
  /** Deletes what the warehouse holds, but for its tombstones; without it only an empty warehouse is filled. */
  readonly isReplacing?: boolean
  /** A later backup, whose tombstones are applied too. */
  readonly erasuresFrom?: string
  readonly tell?: TellRows
}

const BATCH_ROWS = 1_000
const BATCH_BYTES = 8_000_000

/**
 * Loads a backup into a warehouse that is migrated to the same level, and that is empty or to be replaced. All or
 * nothing: it is one transaction, committed when the file's checksum and counts have been found right. Memory stays flat.
 *
 * Persons who were erased after the backup was made are erased again, in the same transaction, where their tombstones
 * are known: those that the warehouse holds, and those of `erasuresFrom`. Erasures that were made in a database that is
 * gone are not known.
 */
export const restore = (
  ownerUrl: Redacted.Redacted,
  file: string,
  { streams = [], isReplacing = false, erasuresFrom, tell = () => undefined }: RestoreOptions = {},
): Effect.Effect<RestoreSummary, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const sql = yield* connect(ownerUrl)
    const given = erasuresFrom === undefined ? [] : yield* tombstonesOf(erasuresFrom)
    const restored = yield* Effect.tryPromise({
      try: signal =>
        sql.begin(async tx => {
          const load = loading(tx, file, { isReplacing, tell })
          const { known, ...loaded } = await pipeline(
            createReadStream(file),
            createGunzip(),
            (chunks: AsyncIterable<Buffer>) => load(linesOf(chunks)),
            { signal },
          )
          const tombstones = [...known, ...given]
          if (tombstones.length > 0 && streams.length === 0) throw new Error("There are no streams.")
          return {
            ...loaded,
            knownErasures: tombstones.length,
            erasedAgain: await eraseAgain(tx, streams, tombstones),
          }
        }),
      catch: error => backupError(error, `restore ${file}`),
    })
    // A restore that brought nobody back leaves no old version of a row behind.
    if (restored.erasedAgain > 0) yield* clearAway(sql, streams)
    return restored
  }).pipe(Effect.scoped)

interface Loaded extends Pick<RestoreSummary, "tables" | "rows" | "takenAt"> {
  /** The tombstones that the warehouse held before. */
  readonly known: ReadonlyArray<KeptTombstone>
}

const loading =
  (
    tx: postgres.TransactionSql,
    file: string,
    { isReplacing, tell }: { isReplacing: boolean; tell: TellRows },
  ) =>
  async (lines: AsyncGenerator<Buffer>): Promise<Loaded> => {
    const counts: Record<string, number> = {}
    let tables: ReadonlyMap<string, BackupTable> = new Map()
    let known: ReadonlyArray<KeptTombstone> = []
    let takenAt = ""
    let batch: Batch | undefined
    await walk(lines, file, {
      header: async header => {
        takenAt = header.takenAt
        await neutralSession(tx)
        await refuseOtherLevel(tx, header.migrations, header.program)
        tables = new Map((await backupTables(tx)).map(table => [table.name, table]))
        known = await makeRoom(tx, [...tables.values()], isReplacing)
      },
      table: async ({ table: name, columns }) => {
        await batch?.flush()
        const table = tables.get(name)
        if (table === undefined || table.columns.join() !== columns.join())
          throw damaged(file, `this database has no table ${name} with the columns that it says`)
        counts[name] = 0
        batch = batchInto(tx, table, count => {
          counts[name] = (counts[name] ?? 0) + count
          tell(name, counts[name])
        })
      },
      row: line => batch!.add(line),
      trailer: async trailer => {
        await batch?.flush()
        if (!sameCounts(trailer.rows, counts)) throw damaged(file, "its checksum is wrong")
        await setSequences(tx, trailer, [...tables.values()])
      },
    })
    const rows = Object.values(counts).reduce((sum, count) => sum + count, 0)
    return { tables: Object.keys(counts).length, rows, takenAt, known }
  }

const sameCounts = (expected: Readonly<Record<string, number>>, counted: Readonly<Record<string, number>>) =>
  Object.keys({ ...expected, ...counted }).every(name => expected[name] === counted[name])

const refuseOtherLevel = async (
  tx: postgres.TransactionSql,
  expected: ReadonlyArray<string>,
  program: string,
): Promise<void> => {
  const applied = await appliedMigrations(tx)
  if (applied.length === 0) throw noWarehouse()
  if (applied.join() === expected.join()) return
  throw new ConfigurationError({
    message: `The backup is of a warehouse with ${expected.length} migrations, this one has ${applied.length}. Restore it with version ${program}, which made it, into a database that this version migrated; then update.`,
  })
}

/** Refuses to replace what a run is at work on, and lets none that has gone silent write to what takes its place. */
const endLeases = async (tx: postgres.TransactionSql): Promise<void> => {
  const [live] = await tx<Array<{ holder: string }>>`
    SELECT holder FROM sync.leases WHERE expires_at > clock_timestamp() LIMIT 1`
  if (live !== undefined)
    throw new ConfigurationError({
      message: `${live.holder} is at work on this warehouse: stop it, or wait until its run has ended, then restore again.`,
    })
  await tx`UPDATE sync.leases SET fence = fence + 1`
}

/** Tables of passes and look-ups under way; no backup holds them. */
const UNDER_WAY = ["sync.checkpoints", "sync.seen_keys", "sync.due_keys"]

const ERASURES = "sync.erasures"

/**
 * Keeps others from writing from here on, and makes the warehouse empty: the seeds that `migrate` put in give way, and
 * where it is to be replaced all else. Answers the tombstones that it held.
 */
const makeRoom = async (
  tx: postgres.TransactionSql,
  tables: ReadonlyArray<BackupTable>,
  isReplacing: boolean,
): Promise<ReadonlyArray<KeptTombstone>> => {
  await tx`SELECT set_config('lock_timeout', '10s', true)`
  await tx.unsafe(
    `LOCK TABLE ${[...tables.map(({ name }) => name), "sync.leases"].join(", ")} IN SHARE ROW EXCLUSIVE MODE`,
  )
  const known = await tx<Array<KeptTombstone>>`
    SELECT account, stream, id_hash AS "idHash", erased_at AS "erasedAt" FROM sync.erasures`
  if (isReplacing) {
    await endLeases(tx)
    await tx.unsafe(`TRUNCATE ${[...tables.map(({ name }) => name), ...UNDER_WAY].join(", ")}`)
    return known
  }
  for (const { name, isSeeded } of tables) {
    if (isSeeded || name === ERASURES) await tx.unsafe(`DELETE FROM ${name}`)
    else if ((await tx.unsafe(`SELECT FROM ${name} LIMIT 1`)).length > 0)
      throw new ConfigurationError({
        message: `A backup is restored into an empty warehouse only, and ${name} has rows. Add --replace to delete what is there, or restore into a new database or another PAYCOMBAT_DATA_DIR.`,
      })
  }
  return known
}

interface Batch {
  readonly add: (row: Buffer) => Promise<void>
  readonly flush: () => Promise<void>
}

/**
 * Rows go as they are, a JSON array of them per statement; Postgres takes them apart. Not by COPY: this driver
 * waits for ever when Postgres refuses a row after the last byte was sent.
 */
const batchInto = (
  tx: postgres.TransactionSql,
  table: BackupTable,
  onLoaded: (rows: number) => void,
): Batch => {
  const values = table.types.map((type, position) => `(r.value->>${position})::${type}`).join(", ")
  const insert = `INSERT INTO ${table.name} (${table.columns.join(", ")}) OVERRIDING SYSTEM VALUE
    SELECT ${values} FROM jsonb_array_elements($1::text::jsonb) r`
  let rows: Array<Buffer> = []
  let bytes = 0
  const flush = async () => {
    if (rows.length === 0) return
    const { count } = await tx.unsafe(insert, [`[${rows.map(row => row.toString("utf8")).join(",")}]`])
    onLoaded(count)
    rows = []
    bytes = 0
  }
  return {
    flush,
    add: async row => {
      rows.push(row)
      bytes += row.length
      if (rows.length >= BATCH_ROWS || bytes >= BATCH_BYTES) await flush()
    },
  }
}

const setSequences = async (
  tx: postgres.TransactionSql,
  { sequences }: typeof Trailer.Type,
  tables: ReadonlyArray<BackupTable>,
): Promise<void> => {
  for (const sequence of tables.flatMap(table => table.sequences)) {
    const value = sequences[sequence]
    if (value !== undefined) await tx`SELECT setval(${sequence}::text::regclass, ${value}::text::bigint)`
  }
}
