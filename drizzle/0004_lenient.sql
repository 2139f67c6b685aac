DROP INDEX "sync"."rejects_content";--> statement-breakpoint
ALTER TABLE "sync"."rejects" ADD COLUMN "kind" text DEFAULT 'record' NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "field_rejected" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "rejects_field" ON "sync"."rejects" USING btree ("account","stream","record_id","field") WHERE "sync"."rejects"."kind" = 'field';--> statement-breakpoint
CREATE UNIQUE INDEX "rejects_content" ON "sync"."rejects" USING btree ("account","stream","content_hash") WHERE "sync"."rejects"."kind" <> 'field';--> statement-breakpoint
ALTER TABLE "sync"."rejects" ADD CONSTRAINT "rejects_kind" CHECK ("sync"."rejects"."kind" IN ('record', 'merchant', 'field'));