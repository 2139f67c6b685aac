import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Redacted } from "effect"
import { ConfigurationError } from "../src/core/errors.ts"
import { connect } from "../src/postgres/connect.ts"
import { backup } from "../src/warehouse/backup/backup.ts"
import { restore } from "../src/warehouse/backup/restore.ts"
import { migrate } from "../src/warehouse/schema/migrator.ts"
import { databaseForFile, runSql, temporaryDirectory, testDatabase } from "./support/postgres.ts"

const MIGRATED = {
  name: "migrated",
  prepare: (ownerUrl: Redacted.Redacted) =>
    Effect.runPromise(Effect.scoped(Effect.flatMap(connect(ownerUrl), migrate))),
}
const RUN = "11111111-2222-3333-4444-555555555555"

/**
 * Rows with values that a careless copy would change: digits, quotes, line ends, nulls in and around arrays,
 * extreme times.
 */
const AWKWARD = `
  INSERT INTO warehouse.payouts (account, raw, content_hash, read_at, first_seen_at, run_id, payout_id, status, amount, currency, payee_name, updated_at)
  SELECT 'default', '{"amount": 9007199254740993.10, "note": "a\\\\b\\"c\\n"}', 'h', '2026-01-01 00:00:00.123456+00', 'infinity', '${RUN}',
    'p' || n, E'line\\nbreak \\\\. \\t "quote" \\\\N', 9007199254740993.1000 + n, 'EUR', CASE n % 2 WHEN 0 THEN NULL ELSE '漢字 🙂' END, '0044-03-15 12:00:00+00 BC'
  FROM generate_series(1, 2500) n;
  INSERT INTO warehouse.wallet_readiness VALUES ('default', 'c1', NULL, ARRAY['plain', 'with "quotes", commas', '', 'NULL', 'null'], now(), NULL, NULL, 'null', '${RUN}'),
    ('default', 'c2', true, '{}', now(), now(), '', NULL, '${RUN}');
  INSERT INTO sync.runs VALUES ('${RUN}', now(), NULL, 'done', 'host', 1, '0.1.0');
  INSERT INTO sync.rejects (account, stream, reason, raw, content_hash, read_at, first_seen_at, run_id)
    SELECT 'default', 'payouts', 'why', 'raw', n::text, now(), now(), '${RUN}' FROM generate_series(1, 3) n;
  INSERT INTO sync.leases VALUES ('default', 'payouts', '${RUN}', 'me', 1, now(), now());
  INSERT INTO sync.checkpoints (account, stream, pass_id, position, started_at, updated_at) VALUES ('default', 'payouts', '${RUN}', '{}', now(), now());
  INSERT INTO sync.seen_keys VALUES ('${RUN}', 'p1');
  UPDATE warehouse.event_directions SET direction = 0, note = 'edited' WHERE event_type = 'REFUND';
  DELETE FROM warehouse.event_directions WHERE event_type = 'DEBIT';
  INSERT INTO warehouse.event_directions VALUES ('BONUS', '*', 1, 'ours');`

const SAVED = [
  "warehouse.payouts",
  "warehouse.wallet_readiness",
  "warehouse.event_directions",
  "sync.runs",
  "sync.rejects",
]

/** Reads every value of a table as Postgres prints it. */
const contentOf = (url: Redacted.Redacted, tables: ReadonlyArray<string>) =>
  Effect.promise(() =>
    Promise.all(tables.map(table => runSql(url, `SELECT t::text FROM ${table} t ORDER BY 1`))),
  )

const filled = Effect.gen(function* () {
  const database = yield* testDatabase({ template: MIGRATED })
  yield* Effect.promise(() => runSql(database.ownerUrl, AWKWARD))
  const file = join(yield* temporaryDirectory, "backup.gz")
  return { ...database, file }
})

const empty = testDatabase({ template: MIGRATED })

describe("backup and restore", () => {
  it.scopedLive.each([
    ["18", "18"],
    ["18", "14"],
    ["14", "18"],
  ] as const)("bring every row back, digit by digit: from Postgres %s to %s", ([from, to]) =>
    Effect.gen(function* () {
      const source = yield* testDatabase({ version: from, template: MIGRATED })
      yield* Effect.promise(() => runSql(source.ownerUrl, AWKWARD))
      const target = yield* testDatabase({ version: to, template: MIGRATED })
      const file = join(yield* temporaryDirectory, "backup.gz")
      const saved = yield* backup(source.ownerUrl, file)
      expect(saved).toMatchObject({
        rows: 2500 + 2 + 8 + 1 + 3,
        bytes: (yield* Effect.promise(() => stat(file))).size,
      })
      const restored = yield* restore(target.ownerUrl, file)
      expect(restored).toMatchObject({ rows: saved.rows, tables: saved.tables })
      expect(yield* contentOf(target.ownerUrl, SAVED)).toEqual(yield* contentOf(source.ownerUrl, SAVED))
      expect(
        (yield* contentOf(target.ownerUrl, ["sync.leases", "sync.checkpoints", "sync.seen_keys"])).flat(),
      ).toEqual([])
    }),
  )

  it.scopedLive("continue the sequences of the ledger", () =>
    Effect.gen(function* () {
      const source = yield* filled
      const target = yield* empty
      yield* backup(source.ownerUrl, source.file)
      yield* restore(target.ownerUrl, source.file)
      const [row] = yield* Effect.promise(() =>
        runSql(
          target.ownerUrl,
          `INSERT INTO sync.rejects (account, stream, reason, raw, content_hash, read_at, first_seen_at, run_id)
           VALUES ('default', 'payouts', 'why', 'raw', 'new', now(), now(), '${RUN}') RETURNING reject_id`,
        ),
      )
      expect(Number(row?.reject_id)).toBe(4)
    }),
  )

  it.scopedLive("save one snapshot, completely or not at all, in a file that only its owner may read", () =>
    Effect.gen(function* () {
      const source = yield* filled
      yield* Effect.promise(() => writeFile(source.file, "another person's letter"))
      expect(yield* Effect.flip(backup(source.ownerUrl, source.file))).toMatchObject({
        _tag: "ConfigurationError",
        message: `${source.file} exists and is not a backup: choose another name. Only an older backup is replaced.`,
      })
      expect(yield* Effect.promise(() => readFile(source.file, "utf8"))).toBe("another person's letter")
      yield* Effect.promise(() => rm(source.file))
      yield* backup(source.ownerUrl, source.file)
      const older = yield* Effect.promise(() => readFile(source.file))
      yield* Effect.promise(() => runSql(source.ownerUrl, "DELETE FROM sync.runs"))
      yield* backup(source.ownerUrl, source.file)
      expect(yield* Effect.promise(() => readFile(source.file))).not.toEqual(older)
      expect((yield* Effect.promise(() => stat(source.file))).mode & 0o777).toBe(0o600)
      expect(yield* Effect.promise(() => readdir(join(source.file, "..")))).toEqual(["backup.gz"])
      const before = yield* Effect.promise(() => readFile(source.file))
      yield* Effect.promise(() => runSql(source.ownerUrl, "REVOKE SELECT ON sync.runs FROM paycombat"))
      expect(yield* Effect.flip(backup(source.ownerUrl, source.file))).toMatchObject({
        _tag: "WarehouseError",
        code: "42501",
      })
      expect(yield* Effect.promise(() => readFile(source.file))).toEqual(before)
      expect(yield* Effect.promise(() => readdir(join(source.file, "..")))).toEqual(["backup.gz"])
      const nowhere = yield* Effect.flip(backup(source.ownerUrl, "/nonexistent/backup.gz"))
      expect(nowhere).toMatchObject({
        _tag: "ConfigurationError",
        message:
          "Cannot write /nonexistent/backup.gz: ENOENT: check that its directory is there, or choose another file.",
      })
    }),
  )

  it.scopedLive("replace the content of a warehouse on request, but not during a run", () =>
    Effect.gen(function* () {
      const source = yield* filled
      yield* backup(source.ownerUrl, source.file)
      const content = yield* contentOf(source.ownerUrl, SAVED)
      yield* Effect.promise(() =>
        runSql(
          source.ownerUrl,
          `DELETE FROM warehouse.payouts WHERE payout_id < 'p2'; DELETE FROM warehouse.event_directions;
           UPDATE sync.rejects SET reason = 'other'; UPDATE sync.leases SET expires_at = now() + interval '1 minute'`,
        ),
      )
      const changed = yield* contentOf(source.ownerUrl, SAVED)
      const refused = yield* Effect.flip(restore(source.ownerUrl, source.file, { isReplacing: true }))
      expect(refused.message).toContain("me is using this warehouse")
      expect(yield* contentOf(source.ownerUrl, SAVED)).toEqual(changed)

      yield* Effect.promise(() => runSql(source.ownerUrl, "UPDATE sync.leases SET expires_at = now()"))
      yield* restore(source.ownerUrl, source.file, { isReplacing: true })
      expect(yield* contentOf(source.ownerUrl, SAVED)).toEqual(content)
      const left = yield* contentOf(source.ownerUrl, ["sync.checkpoints", "sync.seen_keys"])
      expect(left.flat()).toEqual([])
      const [lease] = yield* Effect.promise(() =>
        runSql(source.ownerUrl, "SELECT fence::int FROM sync.leases"),
      )
      expect(lease).toEqual({ fence: 2 })
    }),
  )

  it.scopedLive("refuse a warehouse that is not empty, and name the table", () =>
    Effect.gen(function* () {
      const source = yield* filled
      yield* backup(source.ownerUrl, source.file)
      const error = yield* Effect.flip(restore(source.ownerUrl, source.file))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).toMatch(/empty warehouse only, and (sync|warehouse)\.\w+ has rows/)
    }),
  )

  it.scopedLive("refuse a warehouse at another migration, and name the version that made the backup", () =>
    Effect.gen(function* () {
      const source = yield* filled
      const target = yield* empty
      yield* backup(source.ownerUrl, source.file)
      yield* Effect.promise(() =>
        runSql(target.ownerUrl, "INSERT INTO sync.migrations (hash, created_at) VALUES ('next', 9e15)"),
      )
      const error = yield* Effect.flip(restore(target.ownerUrl, source.file))
      expect(error.message).toMatch(/Restore it with version \d+\.\d+\.\d+/)
    }),
  )

  it.scopedLive("refuse a database without a warehouse, and advise to migrate first", () =>
    Effect.gen(function* () {
      const { ownerUrl, file } = yield* filled
      yield* backup(ownerUrl, file)
      const bare = yield* testDatabase()
      for (const attempt of [
        Effect.asVoid(backup(bare.ownerUrl, `${file}.2`)),
        Effect.asVoid(restore(bare.ownerUrl, file)),
      ])
        expect((yield* Effect.flip(attempt)).message).toContain("migrate")
    }),
  )
})

describe("a damaged file restores nothing", () => {
  const source = databaseForFile({ template: MIGRATED })
  const target = databaseForFile({ template: MIGRATED })
  const whole = Effect.runSync(
    Effect.cached(
      Effect.gen(function* () {
        const file = join(yield* temporaryDirectory, "backup.gz")
        yield* Effect.promise(() => runSql(source.ownerUrl, AWKWARD))
        yield* backup(source.ownerUrl, file)
        return yield* Effect.promise(() => readFile(file))
      }).pipe(Effect.scoped),
    ),
  )

  const text = (file: Buffer) => gunzipSync(file).toString("utf8")
  it.scopedLive.each([
    ["truncated", (file: Buffer) => file.subarray(0, file.length - 20)],
    [
      "truncated at a line",
      (file: Buffer) => gzipSync(`${text(file).split("\n").slice(0, -2).join("\n")}\n`),
    ],
    [
      "with a digit changed",
      (file: Buffer) => gzipSync(text(file).replace("9007199254740994.1000", "9007199254740994.1001")),
    ],
    ["with a row taken out", (file: Buffer) => gzipSync(text(file).replace(/\n\[.*(?=\n)/, ""))],
    ["with something after its end", (file: Buffer) => gzipSync(`${text(file)}{}\n`)],
    ["of another kind", () => gzipSync("hello\n")],
    ["not compressed", () => Buffer.from("hello")],
    ["empty", () => Buffer.alloc(0)],
  ] as const)("%s", ([, damage]) =>
    Effect.gen(function* () {
      const file = join(yield* temporaryDirectory, "backup.gz")
      const bytes = damage(yield* whole)
      yield* Effect.promise(() => writeFile(file, bytes))
      const before = yield* contentOf(target.ownerUrl, SAVED)
      const error = yield* Effect.flip(restore(target.ownerUrl, file))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error.message).toContain(file)
      expect(error.message).toMatch(/backup, or (it is truncated or )?damaged.*: .*or use another backup\.$/)
      expect(yield* contentOf(target.ownerUrl, SAVED)).toEqual(before)
    }),
  )
})
