import { sql } from "drizzle-orm"
import { check, doublePrecision, primaryKey, smallint, text } from "drizzle-orm/pg-core"
import { account, instant, warehouse } from "./columns.ts"

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
    /** Zone in which days, months and ages are reckoned; null for UTC. */
    reportTimezone: text("report_timezone"),
    /** Owner of the balance that a fee moves: `owner` (of the amount) or `organization`; null for the owner. */
    feeOwner: text("fee_owner"),
  },
  table => [primaryKey({ columns: [table.account] })],
)

/**
 * Rules: what a transaction of a type and name does to a balance; the name `*` stands for any. People edit them. A
 * migration inserts a missing seed once, and touches no row again. How they are applied: `views/trust/event_direction.sql`.
 */
export const eventDirections = warehouse.table(
  "event_directions",
  {
    eventType: text("event_type").notNull(),
    eventName: text("event_name").notNull().default("*"),
    /** +1: money in; -1: money out; 0: neither. */
    direction: smallint("direction").notNull(),
    /** `absolute`: a movement is direction × |amount|. `as_sent`: it is the amount with the sign that was sent. */
    amountSign: text("amount_sign").notNull().default("absolute"),
    note: text("note"),
    /** When a person confirmed the rule; null: it is assumed. */
    confirmedAt: instant("confirmed_at"),
    /** Login that confirmed it. */
    confirmedBy: text("confirmed_by"),
  },
  table => [
    primaryKey({ columns: [table.eventType, table.eventName] }),
    check("event_directions_sign", sql`${table.amountSign} IN ('absolute', 'as_sent')`),
  ],
)
