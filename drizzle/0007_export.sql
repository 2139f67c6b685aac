CREATE TABLE "sync"."pruned" (
	"account" text PRIMARY KEY NOT NULL,
	"pruned_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "run_count" bigint DEFAULT 1 NOT NULL;--> statement-breakpoint
-- by hand
-- Reasons quoted the value that was in the way.
UPDATE "sync"."rejects" SET "reason" = regexp_replace("reason", ', actual .*$', '') WHERE "reason" LIKE '%, actual %';--> statement-breakpoint
UPDATE "sync"."rejects" SET "reason" = regexp_replace("reason", '^(record: Postgres refused it):.* (\([0-9A-Z]{5}\))?$', '\1 \2')
WHERE "reason" LIKE 'record: Postgres refused it: %';
