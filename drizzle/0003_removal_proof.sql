ALTER TABLE "sync"."missing_keys" ADD COLUMN "still_passes" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "unconfirmed" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "movement" text;--> statement-breakpoint
-- by hand
-- The time of creation is no time of change: a version that carries none gives way to any later read.
UPDATE "warehouse"."customers" SET "source_updated_at" = NULL WHERE "updated_at" IS NULL AND "source_updated_at" IS NOT NULL;--> statement-breakpoint
UPDATE "warehouse"."wallets" SET "source_updated_at" = NULL WHERE "updated_at" IS NULL AND "source_updated_at" IS NOT NULL;--> statement-breakpoint
UPDATE "warehouse"."payouts" SET "source_updated_at" = NULL WHERE "updated_at" IS NULL AND "source_updated_at" IS NOT NULL;--> statement-breakpoint
UPDATE "warehouse"."checkouts" SET "source_updated_at" = NULL WHERE "updated_at" IS NULL AND "source_updated_at" IS NOT NULL;--> statement-breakpoint
UPDATE "warehouse"."transactions" SET "source_updated_at" = NULL WHERE "updated_at" IS NULL AND "source_updated_at" IS NOT NULL;