import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { createGunzip } from "node:zlib"
import { Effect, type Redacted } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import type { Stream } from "../../core/stream.ts"
import { connect } from "../../postgres/connect.ts"
import { checkAfterWork } from "../checks/ledgerChecks.ts"
import { clearAway } from "../maintain/erase.ts"
import { eraseAgain, type KeptTombstone } from "../maintain/eraseAgain.ts"
import { backupError, noWarehouse, type TellRows } from "./backup.ts"
import { linesOf, type Trailer } from "./file.ts"
import { damaged, tombstonesOf, walk } from "./read.ts"
import { appliedMigrations, type BackupTable, backupTables, neutralSession } from "./tables.ts"

export interface RestoreSummary {
  readonly tables: number
  readonly rows: number
  /** Time of the backup, by the clock of the machine that made it. */
  readonly takenAt: string
  /**
   * Number of known tombstones outside the backup: from the warehouse that it is restored into, or from another backup.
   */
  readonly knownErasures: number
  /** Number of persons in the backup that were erased after it, and are erased again. */
  readonly erasedAgain: number
}

export interface RestoreOptions {
  /** All streams. Their declarations of personal data decide what is erased again. */
  readonly streams?: ReadonlyArray<Stream>
  /** Deletes the content of the warehouse, except for its tombstones. Without it, only an empty warehouse is filled. */
  readonly isReplacing?: boolean
  /** A later backup, whose tombstones are applied too. */
  readonly erasuresFrom?: string
  readonly tell?: TellRows
}

const BATCH_ROWS = 1_000
const BATCH_BYTES = 8_000_000

/**
 * Loads a backup into a warehouse at the same migration that is empty or is to be replaced. It is one transaction,
 * committed only after the file's checksum and counts were verified. Memory stays flat.
 *
 * Persons who were erased after the backup are erased again in the same transaction, if their tombstones are known:
 * those in the warehouse, and those of `erasuresFrom`. Erasures made in a database that is gone are not known.
 */
export const restore = (
  ownerUrl: Redacted.Redacted,
  file: string,
  { streams = [], isReplacing = false, erasuresFrom, tell = () => undefined }: RestoreOptions = {},
): Effect.Effect<RestoreSummary, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const sql = yield* connect(ownerUrl)
    const laterTombstones = erasuresFrom === undefined ? [] : yield* tombstonesOf(erasuresFrom)
    const summary = yield* Effect.tryPromise({
      try: signal =>
        sql.begin(async tx => {
          const load = loading(tx, file, { isReplacing, tell })
          const { earlierTombstones, ...loaded } = await pipeline(
            createReadStream(file),
            createGunzip(),
            (chunks: AsyncIterable<Buffer>) => load(linesOf(chunks)),
            { signal },
          )
          const tombstones = [...earlierTombstones, ...laterTombstones]
          if (tombstones.length > 0 && streams.length === 0) throw new Error("There are no streams.")
          return {
            ...loaded,
            knownErasures: tombstones.length,
            erasedAgain: await eraseAgain(tx, streams, tombstones),
          }
        }),
      catch: error => backupError(error, `restore ${file}`),
    })
    yield* checkAfterWork(sql)
    // Only an erasure leaves old row versions behind.
    if (summary.erasedAgain > 0) yield* clearAway(sql, streams)
    return summary
  }).pipe(Effect.scoped)

interface Loaded extends Pick<RestoreSummary, "tables" | "rows" | "takenAt"> {
  /** Tombstones that the warehouse held before. */
  readonly earlierTombstones: ReadonlyArray<KeptTombstone>
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
    let earlierTombstones: ReadonlyArray<KeptTombstone> = []
    let takenAt = ""
    let batch: Batch | undefined
    await walk(lines, file, {
      header: async header => {
        takenAt = header.takenAt
        await neutralSession(tx)
        // The backup has the histories: its rows are no news.
        await tx`SELECT set_config('paycombat.is_restoring', 'on', true)`
        await refuseOtherLevel(tx, header.migrations, header.program)
        tables = new Map((await backupTables(tx)).map(table => [table.name, table]))
        earlierTombstones = await emptyWarehouse(tx, [...tables.values()], isReplacing)
      },
      table: async ({ table: name, columns }) => {
        await batch?.flush()
        const table = tables.get(name)
        if (table === undefined || table.columns.join() !== columns.join())
          throw damaged(file, `this database has no table ${name} with the backup's columns`)
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
        await tx`SELECT warehouse.make_totals()`
      },
    })
    const rows = Object.values(counts).reduce((sum, count) => sum + count, 0)
    return { tables: Object.keys(counts).length, rows, takenAt, earlierTombstones }
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

/**
 * Refuses to replace a warehouse that a run is using, and raises the fences, so that a run that froze cannot write to
 * the new content.
 */
const endLeases = async (tx: postgres.TransactionSql): Promise<void> => {
  const [live] = await tx<Array<{ holder: string }>>`
    SELECT holder FROM sync.leases WHERE expires_at > clock_timestamp() LIMIT 1`
  if (live !== undefined)
    throw new ConfigurationError({
      message: `${live.holder} is using this warehouse: stop it, or wait until its run has ended, then restore again.`,
    })
  await tx`UPDATE sync.leases SET fence = fence + 1`
}

/** Tables of passes and look-ups in progress, and of equations to be computed. No backup holds them. */
const IN_PROGRESS_TABLES = ["sync.checkpoints", "sync.seen_keys", "sync.due_keys", "sync.figure_changes"]

const ERASURES = "sync.erasures"

/**
 * Locks the tables against writes, and empties the warehouse: seeds from `migrate` are deleted, and with `isReplacing`
 * everything else. Returns the tombstones that it held.
 */
const emptyWarehouse = async (
  tx: postgres.TransactionSql,
  tables: ReadonlyArray<BackupTable>,
  isReplacing: boolean,
): Promise<ReadonlyArray<KeptTombstone>> => {
  await tx`SELECT set_config('lock_timeout', '10s', true)`
  await tx.unsafe(
    `LOCK TABLE ${[...tables.map(({ name }) => name), "sync.leases"].join(", ")} IN SHARE ROW EXCLUSIVE MODE`,
  )
  const earlierTombstones = await tx<Array<KeptTombstone>>`
    SELECT account, stream, id_hash AS "idHash", erased_at AS "erasedAt" FROM sync.erasures`
  if (isReplacing) {
    await endLeases(tx)
    await tx.unsafe(`TRUNCATE ${[...tables.map(({ name }) => name), ...IN_PROGRESS_TABLES].join(", ")}`)
    return earlierTombstones
  }
  for (const { name, isSeeded } of tables) {
    if (isSeeded || name === ERASURES) await tx.unsafe(`DELETE FROM ${name}`)
    else if ((await tx.unsafe(`SELECT FROM ${name} LIMIT 1`)).length > 0)
      throw new ConfigurationError({
        message: `A backup is restored into an empty warehouse only, and ${name} has rows. Add --replace to delete them, or restore into a new database or another PAYCOMBAT_DATA_DIR.`,
      })
  }
  return earlierTombstones
}

interface Batch {
  readonly add: (row: Buffer) => Promise<void>
  readonly flush: () => Promise<void>
}

/**
 * Inserts rows unchanged, as one JSON array per statement, which Postgres takes apart. COPY is not used, because this
 * driver waits forever if Postgres refuses a row after the last byte was sent.
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
