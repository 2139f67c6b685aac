import { integer, primaryKey, text } from "drizzle-orm/pg-core"
import { account, instant } from "./columns.ts"
import { sync } from "./tables.ts"

/** Doubts that passes over lists leave, and streams that are not available. */

/** Optional streams whose endpoint the account's token does not have. A run that reads the stream deletes its row. */
export const unavailable = sync.table(
  "unavailable",
  {
    account: account(),
    stream: text("stream").notNull(),
    reason: text("reason").notNull(),
    /** Names of the views that read the stream's tables. */
    views: text("views").array().notNull(),
    since: instant("since").notNull(),
    /** Start of the run that looked for the endpoint last. */
    checkedAt: instant("checked_at").notNull(),
  },
  table => [primaryKey({ columns: [table.account, table.stream] })],
)

/** Keys of stored records that the latest complete full pass was not shown. A pass that is shown one deletes its row. */
export const missingKeys = sync.table(
  "missing_keys",
  {
    account: account(),
    stream: text("stream").notNull(),
    recordId: text("record_id").notNull(),
    /** Complete full passes without movement that did not show it, since a pass last did. */
    stillPasses: integer("still_passes").notNull().default(0),
    /** Time at which its by-id endpoint was asked about it last; null if it never was. */
    askedAt: instant("asked_at"),
  },
  table => [primaryKey({ columns: [table.account, table.stream, table.recordId] })],
)

/** Doubts about items that records list, kept until the end of a run settles them: see `itemDoubts.ts`. */
export const itemDoubts = sync.table(
  "item_doubts",
  {
    account: account(),
    stream: text("stream").notNull(),
    /** Table of the items' rows. */
    child: text("child").notNull(),
    /** `emptied`: the record lists no item any more. `contested`: the record lists an item that another record lists too. */
    kind: text("kind").notNull(),
    recordId: text("record_id").notNull(),
    /** Id of the contested item; empty text for an emptied list. */
    itemId: text("item_id").notNull(),
    since: instant("since").notNull(),
  },
  table => [
    primaryKey({
      columns: [table.account, table.stream, table.child, table.kind, table.recordId, table.itemId],
    }),
  ],
)
