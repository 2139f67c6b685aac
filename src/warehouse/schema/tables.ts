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

/** The ledger: what was run, what is held, what was found, and what could not become a row. */
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
  /** Until when a run that holds no lease, since it waits for another run, is not taken for dead. */
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
    /** Fields that could not be read and are null in the rows that this run stored; in no other counter. */
    fieldRejected: counter("field_rejected"),
    /** Items of lists in those rows that could not be read: a row of their own is missing or empty. */
    itemRejected: counter("item_rejected"),
    erased: counter("erased"),
    removed: counter("removed"),
    leftOver: counter("left_over"),
    /**
     * Look-ups that got no answer, and records that a list showed without all their parts and that their by-id endpoint did
     * not know: they are no rejects, and are asked again.
     */
    unanswered: counter("unanswered"),
    /** Keys whose latest look-up had failed when this run ended, by whichever run. */
    failedLookups: counter("failed_lookups"),
    /** Records that the list did not show and that are not booked as removed: their removal is not proven. */
    unconfirmed: counter("unconfirmed"),
    /** Rows not booked as removed when the pass was closed; null where the run closed no pass, or none was unconfirmed. */
    stored: bigint("stored", { mode: "number" }),
    requests: counter("requests"),
    retries: counter("retries"),
    /** Runs that this row stands for: more than one where quiet runs of a day were folded into their latest. */
    runCount: bigint("run_count", { mode: "number" }).notNull().default(1),
    error: text("error"),
    note: text("note"),
    /** Why this pass is no proof of a removal: what showed that the list moved while it was read. Null where it stood still. */
    movement: text("movement"),
    /** Length of the list as the API stated it last during the pass; null where it states none, or the run closed no pass. */
    stated: bigint("stated", { mode: "number" }),
    /** Different records that the pass was shown, by all runs that made it; null where the run closed no pass. */
    listed: bigint("listed", { mode: "number" }),
  },
  table => [
    primaryKey({ columns: [table.runId, table.account, table.stream] }),
    index("stream_runs_latest").on(table.account, table.stream, table.startedAt),
    // Since when a stream is well is asked by each look at the verdict; runs that went well are nearly all.
    index("stream_runs_not_complete")
      .on(table.account, table.stream, table.startedAt)
      .where(sql`status IN ('failed', 'dead', 'interrupted')`),
  ],
)

/** Where an unfinished pass goes on. Committed with the rows it speaks of; gone when the pass is complete. */
export const checkpoints = sync.table(
  "checkpoints",
  {
    account: account(),
    stream: text("stream").notNull(),
    passId: uuid("pass_id").notNull(),
    startedAt: instant("started_at").notNull(),
    position: jsonb("position"),
    seenKeys: counter("seen_keys"),
    /** Length of the list as the pass so far was told it; null where it was told none. */
    stated: bigint("stated", { mode: "number" }),
    /** Records that the pass so far was shown and that leave no key: those without an id. */
    unkeyed: counter("unkeyed"),
    /** How many records of the pass so far carried which documented field; null at its beginning. */
    fields: jsonb("fields"),
    updatedAt: instant("updated_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/** Keys that a pass was shown. Made unlogged by a migration: lost in a crash, they only prove no removal. */
export const seenKeys = sync.table(
  "seen_keys",
  { passId: uuid("pass_id").notNull(), recordId: text("record_id").notNull() },
  table => [primaryKey({ columns: [table.passId, table.recordId] })],
)

/** The look-ups that a run has still to make, in their order. Unlogged too: the next run works it out again. */
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

/** What was asked of look-ups whose answers are records: the keys, when they were asked about last, and what came of it. */
export const lookupKeys = sync.table(
  "lookup_keys",
  {
    account: account(),
    stream: text("stream").notNull(),
    recordId: text("record_id").notNull(),
    checkedAt: instant("checked_at").notNull(),
    /** When the outcome changed last: another record than before, the first failure, or the first answer after one. */
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
     * `record`: the record is no row. `merchant`: nor is this one, it is another merchant's. The record of the other two is
     * a row, and `raw` is the part that could not be read. `field`: one value, which is null. `item`: an item of a list,
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
    /** How many complete full passes without movement did not show it since a pass last did. */
    stillPasses: integer("still_passes").notNull().default(0),
    /** Its record is proven to be gone, as that of a row is: nothing is left to be mended. */
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
    // What is open is counted at the end of each run and by each look at the verdict; field rejects may be many.
    index("rejects_open")
      .on(table.account, table.stream, table.firstSeenAt)
      .where(sql`${table.unlistedAt} IS NULL AND ${table.kind} <> 'field'`),
    index("rejects_open_fields")
      .on(table.account, table.stream, table.field, table.firstSeenAt)
      .where(sql`${table.unlistedAt} IS NULL AND ${table.kind} = 'field'`),
    index("rejects_record").on(table.account, table.stream, table.recordId),
  ],
)

/** How personal data of a stream is stored. Another mode or key than the configured one has rows to be rewritten. */
export const privacy = sync.table(
  "privacy",
  {
    account: account(),
    stream: text("stream").notNull(),
    mode: text("mode").notNull(),
    /** Tells one key from another, and says nothing about it. */
    keyFingerprint: text("key_fingerprint"),
    /** True if all that is stored is in this mode. */
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

/** What discovery found about a list endpoint. */
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

/** When an account's part of the ledger was pruned last: once a day is enough. */
export const pruned = sync.table("pruned", {
  account: account().primaryKey(),
  prunedAt: instant("pruned_at").notNull(),
})

/** Which definition of each view the database holds. */
export const views = sync.table("views", {
  name: text("name").primaryKey(),
  definitionHash: text("definition_hash").notNull(),
})

/** The documented fields that a stream's records have carried, and what became of them. */
export const fields = sync.table(
  "fields",
  {
    account: account(),
    stream: text("stream").notNull(),
    /** Path within the record, its parts joined by dots. */
    field: text("field").notNull(),
    firstSeenAt: instant("first_seen_at").notNull(),
    /** To the day: a run writes it only where it is older. */
    lastSeenAt: instant("last_seen_at").notNull(),
    /** Most records of one pass that carried it. */
    carried: counter("carried"),
    /** No record lacked it yet. */
    isAlways: boolean("is_always").notNull(),
    /** Records that came without it though their stored version had it, since a record last carried it. */
    lost: counter("lost"),
    /** New records in a row that lacked it, over several runs, and the start of the run that read the first of them. */
    newLacked: counter("new_lacked"),
    newLackedSince: instant("new_lacked_since"),
    /** Since when no record that is new or changed carries a value in it any more; null while one does. */
    missingSince: instant("missing_since"),
    /** Records in which the field could not be read, and since when these are more than PAYCOMBAT_REJECTS_MAX allows. */
    unreadable: counter("unreadable"),
    unreadableSince: instant("unreadable_since"),
    /** How grave it is for figures that its values are missing or cannot be read: a level of the verdict. */
    level: text("level").notNull().default("attention"),
  },
  table => [primaryKey({ columns: [table.account, table.stream, table.field] })],
)
