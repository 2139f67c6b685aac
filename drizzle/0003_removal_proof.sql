ALTER TABLE "sync"."missing_keys" ADD COLUMN "still_passes" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "unconfirmed" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "movement" text;