import { doublePrecision, primaryKey, smallint, text } from "drizzle-orm/pg-core"
import { account, warehouse } from "./columns.ts"

/** Tables of the warehouse that no stream fills: facts for views, from the configuration or from people. */

/** Settings of an account that views need. Written from the configuration at the start of a run; no row: the defaults. */
export const accountSettings = warehouse.table(
  "account_settings",
  {
    account: account(),
    /** Seconds since the latest complete run after which figures are stale; null for the default. */
    maxAgeSeconds: doublePrecision("max_age_seconds"),
    /** The same since the latest complete pass over a whole list. */
    fullMaxAgeSeconds: doublePrecision("full_max_age_seconds"),
  },
  table => [primaryKey({ columns: [table.account] })],
)

/** Directions of transactions in a balance. People edit them: a migration inserts a missing seed once, and changes no row again. */
export const eventDirections = warehouse.table(
  "event_directions",
  {
    eventType: text("event_type").notNull(),
    eventName: text("event_name").notNull().default("*"),
    direction: smallint("direction").notNull(),
    note: text("note"),
  },
  table => [primaryKey({ columns: [table.eventType, table.eventName] })],
)
