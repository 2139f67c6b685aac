CREATE TABLE "warehouse"."account_settings" (
	"account" text NOT NULL,
	"max_age_seconds" double precision,
	"full_max_age_seconds" double precision,
	CONSTRAINT "account_settings_account_pk" PRIMARY KEY("account")
);
--> statement-breakpoint
CREATE TABLE "sync"."fields" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"field" text NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"last_seen_at" timestamp with time zone NOT NULL,
	"carried" bigint DEFAULT 0 NOT NULL,
	"is_always" boolean NOT NULL,
	"missing_since" timestamp with time zone,
	"unreadable" bigint DEFAULT 0 NOT NULL,
	"unreadable_since" timestamp with time zone,
	CONSTRAINT "fields_account_stream_field_pk" PRIMARY KEY("account","stream","field")
);
--> statement-breakpoint
ALTER TABLE "sync"."checkpoints" ADD COLUMN "fields" jsonb;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "unanswered" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "stream_runs_not_complete" ON "sync"."stream_runs" USING btree ("account","stream","started_at") WHERE status IN ('failed', 'dead', 'interrupted');--> statement-breakpoint
-- by hand
-- A look-up without an answer was booked as a reject, though no reject was kept of it.
UPDATE "sync"."stream_runs" SET "unanswered" = "rejected", "rejected" = 0,
  "status" = CASE "status" WHEN 'complete_with_rejects' THEN 'complete' ELSE "status" END
WHERE "mode" = 'lookup' AND "rejected" > 0;
