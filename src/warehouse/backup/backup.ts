import { createHash } from "node:crypto"
import { createWriteStream } from "node:fs"
import { access, rename, rm, stat } from "node:fs/promises"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { createGzip } from "node:zlib"
import { Effect, Option, type Redacted } from "effect"
import type postgres from "postgres"
import { ConfigurationError, type WarehouseError } from "../../core/errors.ts"
import { VERSION } from "../../core/version.ts"
import { connect } from "../../postgres/connect.ts"
import { fileStep } from "../../postgres/failures.ts"
import { warehouseError } from "../../postgres/statements.ts"
import { FORMAT, type Header, headerOf, type TableLine, type Trailer } from "./file.ts"
import { appliedMigrations, type BackupTable, backupTables, neutralSession } from "./tables.ts"

export interface BackupSummary {
  readonly tables: number
  readonly rows: number
  readonly bytes: number
}

const BATCH_ROWS = 1_000

/** Receives each batch's table, and the number of its rows done so far. */
export type TellRows = (table: string, rows: number) => void

/**
 * Saves the warehouse and its ledger as of one snapshot to one file, while syncs may run. The backup is logical: it can
 * be restored into another version of Postgres, given or embedded. The file appears under its name only when it is
 * complete. It replaces an older backup of that name, but no other file. Only its owner may read it, because it holds
 * personal data. Memory stays flat. Not included: the views, which `migrate` creates, and passes in progress.
 */
export const backup = (
  ownerUrl: Redacted.Redacted,
  file: string,
  tell: TellRows = () => undefined,
): Effect.Effect<BackupSummary, ConfigurationError | WarehouseError> =>
  Effect.gen(function* () {
    yield* refuseOther(file)
    const sql = yield* connect(ownerUrl)
    const unfinished = yield* Effect.acquireRelease(
      Effect.succeed(`${file}.${process.pid}.unfinished`),
      path => Effect.promise(() => rm(path, { force: true }).catch(() => undefined)),
    )
    return yield* Effect.tryPromise({
      try: async signal => {
        const summary = await sql.begin("isolation level repeatable read read only", async tx => {
          const written = { tables: 0, rows: 0 }
          const target = createWriteStream(unfinished, { mode: 0o600, flags: "wx", flush: true })
          await pipeline(Readable.from(content(tx, written, tell)), createGzip(), target, { signal })
          return written
        })
        await rename(unfinished, file)
        return { ...summary, bytes: (await stat(file)).size }
      },
      catch: error => backupError(error, `write ${file}`),
    })
  }).pipe(Effect.scoped)

/** Refuses to replace a file that is not a backup, because a typing error must not destroy another file. */
const refuseOther = (file: string) =>
  Effect.tryPromise({
    try: async () => {
      const isThere = await access(file).then(
        () => true,
        () => false,
      )
      if (!isThere || (await isBackup(file))) return
      throw new ConfigurationError({
        message: `${file} exists and is not a backup: choose another name. Only an older backup is replaced.`,
      })
    },
    catch: error => backupError(error, `write ${file}`),
  })

/** True if a file starts like a backup. */
const isBackup = (file: string): Promise<boolean> => headerOf(file).then(Option.isSome, () => false)

async function* content(
  tx: postgres.TransactionSql,
  written: { tables: number; rows: number },
  tell: TellRows,
): AsyncGenerator<Buffer> {
  const checksum = createHash("sha256")
  const line = (value: typeof Header.Type | typeof TableLine.Type | typeof Trailer.Type) =>
    Buffer.from(`${JSON.stringify(value)}\n`)
  const summed = (bytes: Buffer) => {
    checksum.update(bytes)
    return bytes
  }
  await neutralSession(tx)
  const migrations = await appliedMigrations(tx)
  if (migrations.length === 0) throw noWarehouse()
  yield summed(line({ format: FORMAT, program: VERSION, takenAt: new Date().toISOString(), migrations }))
  const rows: Record<string, number> = {}
  const sequences: Record<string, string> = {}
  for (const table of await backupTables(tx)) {
    yield summed(line({ table: table.name, columns: table.columns }))
    rows[table.name] = 0
    tell(table.name, 0)
    for await (const batch of rowsOf(tx, table)) {
      rows[table.name] = (rows[table.name] ?? 0) + batch.length
      tell(table.name, rows[table.name] ?? 0)
      yield summed(Buffer.concat(batch.flatMap(([row]) => (row === undefined ? [] : [row, END_OF_LINE]))))
    }
    written.tables += 1
    written.rows += rows[table.name] ?? 0
    for (const sequence of table.sequences) {
      const [state] = await tx<Array<{ value: string }>>`
        SELECT last_value::text AS value FROM ${tx.unsafe(sequence)} WHERE is_called`
      if (state !== undefined) sequences[sequence] = state.value
    }
  }
  yield line({ rows, sequences, sha256: checksum.digest("hex") })
}

const END_OF_LINE = Buffer.from("\n")

/** Reads each row as one line of JSON, made by Postgres from its own text of each value, without line breaks. */
const rowsOf = (tx: postgres.TransactionSql, table: BackupTable) => {
  const values = table.columns.map(column => `${column}::text`).join(", ")
  return tx.unsafe(`SELECT array_to_json(ARRAY[${values}]) FROM ${table.name}`).raw().cursor(BATCH_ROWS)
}

export const noWarehouse = () =>
  new ConfigurationError({
    message: "There is no warehouse in this database: run `paycombat-sync migrate` first.",
  })

/** Error codes of the file system: a wrong path, a full disk, another user's file, a damaged file. */
const OF_FILES = /^E(NOENT|ACCES|PERM|ROFS|NOSPC|DQUOT|FBIG|ISDIR|NOTDIR|EXIST|MFILE|IO)$/

/** Advice for a file that cannot be restored. */
export const ANOTHER_BACKUP = "copy it here again, or use another backup"

export const backupError = (error: unknown, task: string): ConfigurationError | WarehouseError => {
  if (error instanceof ConfigurationError) return error
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code.startsWith("Z_"))
    return new ConfigurationError({
      message: `Cannot ${task}: it is not a backup, or it is truncated or damaged (${code}): ${ANOTHER_BACKUP}.`,
    })
  if (OF_FILES.test(code))
    return new ConfigurationError({ message: `Cannot ${task}: ${code}: ${fileStep(code, "file")}.` })
  return warehouseError(error)
}
