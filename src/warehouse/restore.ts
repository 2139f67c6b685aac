import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { createGunzip } from "node:zlib"
import { Effect, Option, type Redacted } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../Errors.ts"
import { ANOTHER_BACKUP, backupError, noWarehouse, type TellRows } from "./backup.ts"
import { decodeHeader, decodeTableOrTrailer, linesOf, type Trailer } from "./backupFile.ts"
import { appliedMigrations, type BackupTable, backupTables, neutralSession } from "./backupTables.ts"
import { connect } from "./Database.ts"

export interface RestoreSummary {
  readonly tables: number
  readonly rows: number
  /** When the backup was made, as its maker's clock said. */
  readonly takenAt: string
}

const BATCH_ROWS = 1_000
const BATCH_BYTES = 8_000_000
const ARRAY_START = 0x5b

/**
 * Loads a backup into a warehouse that is migrated to the same level and empty. All or nothing: it is one
 * transaction, committed when the file's checksum and counts have been found right. Memory stays flat.
 */
export const restore = (
  ownerUrl: Redacted.Redacted,
  file: string,
  tell: TellRows = () => undefined,
): Effect.Effect<RestoreSummary, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    const sql = yield* connect(ownerUrl)
    return yield* Effect.tryPromise({
      try: signal =>
        sql.begin(tx =>
          pipeline(
            createReadStream(file),
            createGunzip(),
            (chunks: AsyncIterable<Buffer>) => load(tx, linesOf(chunks), file, tell),
            { signal },
          ),
        ),
      catch: error => backupError(error, `restore ${file}`),
    })
  }).pipe(Effect.scoped)

const load = async (
  tx: postgres.TransactionSql,
  lines: AsyncGenerator<Buffer>,
  file: string,
  tell: TellRows,
): Promise<RestoreSummary> => {
  const checksum = createHash("sha256")
  const first = await lines.next()
  const header = first.done === true ? Option.none() : decodeHeader(first.value.toString("utf8"))
  if (first.done === true || Option.isNone(header)) throw damaged(file, "it does not begin like one")
  const summed = (line: Buffer) => checksum.update(line).update("\n")
  summed(first.value)
  await neutralSession(tx)
  await refuseOtherLevel(tx, header.value.migrations, header.value.program)
  const tables = new Map((await backupTables(tx)).map(table => [table.name, table]))
  await makeRoom(tx, [...tables.values()])

  const counts: Record<string, number> = {}
  let loading: Batch | undefined
  for await (const line of lines) {
    if (line[0] === ARRAY_START && loading !== undefined) {
      summed(line)
      await loading.add(line)
      continue
    }
    await loading?.flush()
    const part = decodeTableOrTrailer(line.toString("utf8"))
    if (Option.isNone(part)) throw damaged(file, "a line is neither a row nor a table")
    if ("sha256" in part.value) {
      const rest = await lines.next()
      const isWhole = rest.done === true && part.value.sha256 === checksum.digest("hex")
      if (!isWhole || !sameCounts(part.value.rows, counts)) throw damaged(file, "its checksum is wrong")
      await setSequences(tx, part.value, [...tables.values()])
      const rows = Object.values(counts).reduce((sum, count) => sum + count, 0)
      return { tables: Object.keys(counts).length, rows, takenAt: header.value.takenAt }
    }
    summed(line)
    const { table: name, columns } = part.value
    const table = tables.get(name)
    if (table === undefined || table.columns.join() !== columns.join())
      throw damaged(file, `this database has no table ${name} with the columns that it says`)
    counts[name] = 0
    loading = batchInto(tx, table, count => {
      counts[name] = (counts[name] ?? 0) + count
      tell(name, counts[name])
    })
  }
  throw damaged(file, "its end is missing")
}

const damaged = (file: string, why: string) =>
  new ConfigurationError({
    message: `${file} is not a backup, or damaged: ${why}. Nothing was restored: ${ANOTHER_BACKUP}.`,
  })

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

/** Nobody writes from here on, nothing is overwritten, and the seeds that `migrate` put in give way. */
const makeRoom = async (tx: postgres.TransactionSql, tables: ReadonlyArray<BackupTable>): Promise<void> => {
  await tx`SELECT set_config('lock_timeout', '10s', true)`
  await tx.unsafe(`LOCK TABLE ${tables.map(({ name }) => name).join(", ")} IN SHARE ROW EXCLUSIVE MODE`)
  for (const { name, isSeeded } of tables) {
    if (isSeeded) await tx.unsafe(`DELETE FROM ${name}`)
    else if ((await tx.unsafe(`SELECT FROM ${name} LIMIT 1`)).length > 0)
      throw new ConfigurationError({
        message: `A backup is restored into an empty warehouse only, and ${name} has rows. Restore it into a new database, or another PAYCOMBAT_DATA_DIR.`,
      })
  }
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
