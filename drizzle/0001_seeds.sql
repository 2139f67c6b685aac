-- Views only; the schema is not drizzle's because it holds no table.
CREATE SCHEMA "analytics";
--> statement-breakpoint
-- Written once per key and pass, read once, then deleted: not worth write-ahead log. Lost in a crash, it only proves no removal.
ALTER TABLE "sync"."seen_keys" SET UNLOGGED;
--> statement-breakpoint
ALTER TABLE "sync"."due_keys" SET UNLOGGED;
--> statement-breakpoint
-- Keys are deleted when their pass ends; without this a pass of millions would wait for the next vacuum by chance.
ALTER TABLE "sync"."seen_keys" SET (autovacuum_vacuum_scale_factor = 0.05);
--> statement-breakpoint
-- Assumed, not documented: PayCombat does not list its event types. People edit this table; a seed is inserted once and never touched again.
INSERT INTO "warehouse"."event_directions" ("event_type", "event_name", "direction", "note") VALUES
  ('PAYIN', '*', 1, 'assumed: money received'),
  ('CREDIT', '*', 1, 'assumed: upstream''s wallet movement'),
  ('PAYOUT', '*', -1, 'assumed: money sent'),
  ('REFUND', '*', -1, 'assumed: money given back'),
  ('CHARGEBACK', '*', -1, 'assumed: money taken back'),
  ('DEBIT', '*', -1, 'assumed: upstream''s wallet movement'),
  ('RESERVE', '*', 0, 'assumed: moves the available, not the actual balance'),
  ('RELEASE', '*', 0, 'assumed: moves the available, not the actual balance')
ON CONFLICT DO NOTHING;
