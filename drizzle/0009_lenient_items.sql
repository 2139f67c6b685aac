ALTER TABLE "sync"."rejects" DROP CONSTRAINT "rejects_kind";--> statement-breakpoint
DROP INDEX "sync"."rejects_content";--> statement-breakpoint
DROP INDEX "sync"."rejects_field";--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "item_rejected" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "rejects_open" ON "sync"."rejects" USING btree ("account","stream","first_seen_at") WHERE "sync"."rejects"."unlisted_at" IS NULL AND "sync"."rejects"."kind" <> 'field';--> statement-breakpoint
CREATE INDEX "rejects_open_fields" ON "sync"."rejects" USING btree ("account","stream","field","first_seen_at") WHERE "sync"."rejects"."unlisted_at" IS NULL AND "sync"."rejects"."kind" = 'field';--> statement-breakpoint
CREATE UNIQUE INDEX "rejects_content" ON "sync"."rejects" USING btree ("account","stream","content_hash") WHERE "sync"."rejects"."kind" IN ('record', 'merchant');--> statement-breakpoint
CREATE UNIQUE INDEX "rejects_field" ON "sync"."rejects" USING btree ("account","stream","record_id","field") WHERE "sync"."rejects"."kind" IN ('field', 'item');--> statement-breakpoint
ALTER TABLE "sync"."rejects" ADD CONSTRAINT "rejects_kind" CHECK ("sync"."rejects"."kind" IN ('record', 'merchant', 'item', 'field'));--> statement-breakpoint
-- by hand
-- Items of lists were kept as fields.
UPDATE "sync"."rejects" SET "kind" = 'item' WHERE "kind" = 'field' AND ("field" ~ '\.[0-9]+$'
  OR ("stream" = 'checkouts' AND "field" IN ('order_summary', 'order_summary.order_items', 'order_summary.order_fees')));--> statement-breakpoint
-- A reason that was cut has no code at its end, and still quotes the value that Postgres refused.
UPDATE "sync"."rejects" SET "reason" = regexp_replace("reason", '^(record: Postgres refused it):.*?( \([0-9A-Z]{5}\))?$', '\1\2')
WHERE "reason" LIKE 'record: Postgres refused it:%';
