CREATE TABLE "sync"."erasures" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"id_hash" text NOT NULL,
	"erased_at" timestamp with time zone NOT NULL,
	CONSTRAINT "erasures_account_stream_id_hash_pk" PRIMARY KEY("account","stream","id_hash")
);
--> statement-breakpoint
CREATE TABLE "sync"."privacy" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"mode" text NOT NULL,
	"key_fingerprint" text,
	"is_applied" boolean NOT NULL,
	"changed_at" timestamp with time zone NOT NULL,
	CONSTRAINT "privacy_account_stream_pk" PRIMARY KEY("account","stream")
);
--> statement-breakpoint
ALTER TABLE "sync"."leases" ADD COLUMN "commit_id" uuid;--> statement-breakpoint
ALTER TABLE "sync"."leases" ADD COLUMN "commit_result" jsonb;--> statement-breakpoint
ALTER TABLE "sync"."rejects" ADD COLUMN "unlisted_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "erased" bigint DEFAULT 0 NOT NULL;