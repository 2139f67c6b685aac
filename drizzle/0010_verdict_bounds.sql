ALTER TABLE "sync"."checkpoints" ADD COLUMN "stated" bigint;--> statement-breakpoint
ALTER TABLE "sync"."checkpoints" ADD COLUMN "unkeyed" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."fields" ADD COLUMN "level" text DEFAULT 'attention' NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "stated" bigint;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "listed" bigint;--> statement-breakpoint
CREATE INDEX "wallet_readiness_failed" ON "warehouse"."wallet_readiness" USING btree ("account","customer_id") WHERE "warehouse"."wallet_readiness"."check_error" IS NOT NULL;