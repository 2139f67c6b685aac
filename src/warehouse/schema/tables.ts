import { sql } from "drizzle-orm"
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core"
import { account, instant, warehouse } from "./columns.ts"

// drizzle-kit creates a schema only when it is exported from a file that it reads.
export { warehouse }

/** The ledger: runs, passes, look-ups, rejects, modes of privacy, contracts and documented fields. */
export const sync = pgSchema("sync")

const counter = (name: string) => bigint(name, { mode: "number" }).notNull().default(0)

export const runs = sync.table("runs", {
  runId: uuid("run_id").primaryKey(),
  startedAt: instant("started_at").notNull(),
  finishedAt: instant("finished_at"),
  status: text("status").notNull(),
  host: text("host").notNull(),
  processId: integer("process_id").notNull(),
  version: text("version").notNull(),
  /** Time until which a run without a lease, because it waits for another run, does not count as dead. */
  waitsUntil: instant("waits_until"),
})

export const streamRuns = sync.table(
  "stream_runs",
  {
    runId: uuid("run_id").notNull(),
    account: account(),
    stream: text("stream").notNull(),
    passId: uuid("pass_id"),
    mode: text("mode").notNull(),
    status: text("status").notNull(),
    startedAt: instant("started_at").notNull(),
    finishedAt: instant("finished_at"),
    pages: counter("pages"),
    extracted: counter("extracted"),
    inserted: counter("inserted"),
    updated: counter("updated"),
    unchanged: counter("unchanged"),
    stale: counter("stale"),
    rejected: counter("rejected"),
    /** Fields that could not be read, and are null in the rows that this run stored. They are in no other counter. */
    fieldRejected: counter("field_rejected"),
    /** Items of lists in those rows that could not be read: their own row is missing or empty. */
    itemRejected: counter("item_rejected"),
    erased: counter("erased"),
    removed: counter("removed"),
    leftOver: counter("left_over"),
    /**
     * Look-ups that got no answer, and stored records that a list showed without all their parts while their by-id endpoint
     * answered 404. They are no rejects, and are asked again.
     */
    unanswered: counter("unanswered"),
    /** Keys whose latest look-up, in any run, had failed when this run ended. */
    failedLookups: counter("failed_lookups"),
    /** Records that the list did not show, and whose removal is not proven. */
    unconfirmed: counter("unconfirmed"),
    /** Rows that were not removed when the pass was closed; null if the run closed no pass, or few records were unconfirmed. */
    stored: bigint("stored", { mode: "number" }),
    requests: counter("requests"),
    retries: counter("retries"),
    /** Number of runs in this row: more than one if quiet runs of a day were folded into their latest. */
    runCount: bigint("run_count", { mode: "number" }).notNull().default(1),
    error: text("error"),
    note: text("note"),
    /** Sign that the list moved while it was read, so that the pass proves no removal; null if it stood still. */
    movement: text("movement"),
    /** Length of the list as the API stated it last during the pass; null if it did not, or if the run closed no pass. */
    stated: bigint("stated", { mode: "number" }),
    /** Different records that the pass was shown in all of its runs; null if the run closed no pass. */
    listed: bigint("listed", { mode: "number" }),
  },
  table => [
    primaryKey({ columns: [table.runId, table.account, table.stream] }),
    index("stream_runs_latest").on(table.account, table.stream, table.startedAt),
    // Each look at the verdict asks for the latest run that did not go well. Nearly all runs go well.
    index("stream_runs_not_complete")
      .on(table.account, table.stream, table.startedAt)
      .where(sql`status IN ('failed', 'dead', 'interrupted')`),
  ],
)

/** Positions of unfinished passes. Each commits with the rows before it, and is deleted when the pass is complete. */
export const checkpoints = sync.table(
  "checkpoints",
  {
    account: account(),
    stream: text("stream").notNull(),
    passId: uuid("pass_id").notNull(),
    startedAt: instant("started_at").notNull(),
    position: jsonb("position"),
    seenKeys: counter("seen_keys"),
    /** Length of the list as the API stated it so far in the pass; null if it did not. */
    stated: bigint("stated", { mode: "number" }),
    /** Records without an id that the pass was shown so far. They leave no seen key. */
    unkeyed: counter("unkeyed"),
    /** Documented fields that the records of the pass carried so far, with their numbers; null at its beginning. */
    fields: jsonb("fields"),
    updatedAt: instant("updated_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/** Keys that a pass was shown. A migration makes the table unlogged: without the keys a pass only proves no removal. */
export const seenKeys = sync.table(
  "seen_keys",
  { passId: uuid("pass_id").notNull(), recordId: text("record_id").notNull() },
  table => [primaryKey({ columns: [table.passId, table.recordId] })],
)

/** Look-ups that a run has still to make, in their order. Unlogged, too: the next run makes its own queue. */
export const dueKeys = sync.table(
  "due_keys",
  {
    runId: uuid("run_id").notNull(),
    account: account(),
    stream: text("stream").notNull(),
    position: bigint("position", { mode: "number" }).notNull(),
    recordId: text("record_id").notNull(),
  },
  table => [primaryKey({ columns: [table.runId, table.account, table.stream, table.position] })],
)

/** Keys of look-ups whose answers are records, with the time and the outcome of the latest look-up. */
export const lookupKeys = sync.table(
  "lookup_keys",
  {
    account: account(),
    stream: text("stream").notNull(),
    recordId: text("record_id").notNull(),
    checkedAt: instant("checked_at").notNull(),
    /** Time of the last change of the outcome: another record, the first failure, or the first answer after one. */
    changedAt: instant("changed_at").notNull(),
    checkError: text("check_error"),
    runId: uuid("run_id").notNull(),
  },
  table => [
    primaryKey({ columns: [table.account, table.stream, table.recordId] }),
    // Each look at the verdict counts the failed look-ups.
    index("lookup_keys_failed").on(table.account, table.stream).where(sql`${table.checkError} IS NOT NULL`),
  ],
)

export const rejects = sync.table(
  "rejects",
  {
    rejectId: bigint("reject_id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    account: account(),
    stream: text("stream").notNull(),
    /**
     * `record`: the record is no row. `merchant`: the record is another merchant's, and no row. The record of the other two
     * is a row, and `raw` is the part that could not be read. `field`: one value, which is null. `item`: an item of a list,
     * whose own row is missing or empty. All but `field` count as rejects.
     */
    kind: text("kind").notNull().default("record"),
    recordId: text("record_id"),
    field: text("field"),
    reason: text("reason").notNull(),
    raw: text("raw").notNull(),
    contentHash: text("content_hash").notNull(),
    readAt: instant("read_at").notNull(),
    firstSeenAt: instant("first_seen_at").notNull(),
    runId: uuid("run_id").notNull(),
    /** Complete full passes without movement that did not show it, since a pass last did. */
    stillPasses: integer("still_passes").notNull().default(0),
    /** Time at which its record was proven to be gone, as that of a row is; null while it is open. */
    unlistedAt: instant("unlisted_at"),
  },
  table => [
    uniqueIndex("rejects_content")
      .on(table.account, table.stream, table.contentHash)
      .where(sql`${table.kind} IN ('record', 'merchant')`),
    uniqueIndex("rejects_field")
      .on(table.account, table.stream, table.recordId, table.field)
      .where(sql`${table.kind} IN ('field', 'item')`),
    check("rejects_kind", sql`${table.kind} IN ('record', 'merchant', 'item', 'field')`),
    // Open rejects are counted at the end of each run and by each look at the verdict. Field rejects may be many.
    index("rejects_open")
      .on(table.account, table.stream, table.firstSeenAt)
      .where(sql`${table.unlistedAt} IS NULL AND ${table.kind} <> 'field'`),
    index("rejects_open_fields")
      .on(table.account, table.stream, table.field, table.firstSeenAt)
      .where(sql`${table.unlistedAt} IS NULL AND ${table.kind} = 'field'`),
    index("rejects_record").on(table.account, table.stream, table.recordId),
  ],
)

/** Modes in which the personal data of streams is stored. If the configured mode or key differs, rows are rewritten. */
export const privacy = sync.table(
  "privacy",
  {
    account: account(),
    stream: text("stream").notNull(),
    mode: text("mode").notNull(),
    /** Fingerprint of the key: it identifies the key, and does not reveal it. */
    keyFingerprint: text("key_fingerprint"),
    /** True if all stored records are in this mode. */
    isApplied: boolean("is_applied").notNull(),
    changedAt: instant("changed_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/** Tombstones: a record of this hashed id is never stored again, or only without personal data. */
export const erasures = sync.table(
  "erasures",
  {
    account: account(),
    stream: text("stream").notNull(),
    idHash: text("id_hash").notNull(),
    erasedAt: instant("erased_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.stream, table.idHash] })],
)

/** Contracts: facts that discovery found about list endpoints. */
export const contracts = sync.table(
  "contracts",
  {
    account: account(),
    stream: text("stream").notNull(),
    path: text("path").notNull(),
    isVerified: boolean("is_verified").notNull(),
    contract: jsonb("contract").notNull(),
    foundAt: instant("found_at").notNull(),
    verifiedAt: instant("verified_at"),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/** Time at which an account's part of the ledger was pruned last. Once a day is enough. */
export const pruned = sync.table("pruned", {
  account: account().primaryKey(),
  prunedAt: instant("pruned_at").notNull(),
})

/** Hash of the definition of each view in the database. */
export const views = sync.table("views", {
  name: text("name").primaryKey(),
  definitionHash: text("definition_hash").notNull(),
})

/** Documented fields that a stream's records have carried, and whether they still do. */
export const fields = sync.table(
  "fields",
  {
    account: account(),
    stream: text("stream").notNull(),
    /** Path within the record, its parts joined by dots. */
    field: text("field").notNull(),
    firstSeenAt: instant("first_seen_at").notNull(),
    /** Exact to the day: a run writes it only if it is a day old. */
    lastSeenAt: instant("last_seen_at").notNull(),
    /** Most records of one pass that carried it. */
    carried: counter("carried"),
    /** True while no record lacked it. */
    isAlways: boolean("is_always").notNull(),
    /** Records that lacked it although their stored version had it, since a record last carried it. */
    lost: counter("lost"),
    /** New records in a row that lacked it, over several runs, and the start of the run that read the first of them. */
    newLacked: counter("new_lacked"),
    newLackedSince: instant("new_lacked_since"),
    /** Time since which no new or changed record carries a value in it; null while one does. */
    missingSince: instant("missing_since"),
    /** Records with an unreadable value in it, and the time since which they are more than PAYCOMBAT_REJECTS_MAX allows. */
    unreadable: counter("unreadable"),
    unreadableSince: instant("unreadable_since"),
    /** Level of the verdict if its values are missing or unreadable. */
    level: text("level").notNull().default("attention"),
  },
  table => [primaryKey({ columns: [table.account, table.stream, table.field] })],
)
