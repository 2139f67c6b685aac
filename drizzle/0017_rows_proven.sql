CREATE TABLE "sync"."item_doubts" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"child" text NOT NULL,
	"kind" text NOT NULL,
	"record_id" text NOT NULL,
	"item_id" text NOT NULL,
	"since" timestamp with time zone NOT NULL,
	CONSTRAINT "item_doubts_account_stream_child_kind_record_id_item_id_pk" PRIMARY KEY("account","stream","child","kind","record_id","item_id")
);
--> statement-breakpoint
ALTER TABLE "sync"."rejects" ADD COLUMN "still_passes" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."stream_runs" ADD COLUMN "stored" bigint;
--> statement-breakpoint
-- by hand
-- A time of change that lies after the reading is none: it would keep every later version out.
UPDATE "warehouse"."customers" SET "source_updated_at" = NULL WHERE "source_updated_at" > "read_at" + interval '1 day';--> statement-breakpoint
UPDATE "warehouse"."wallets" SET "source_updated_at" = NULL WHERE "source_updated_at" > "read_at" + interval '1 day';--> statement-breakpoint
UPDATE "warehouse"."payouts" SET "source_updated_at" = NULL WHERE "source_updated_at" > "read_at" + interval '1 day';--> statement-breakpoint
UPDATE "warehouse"."checkouts" SET "source_updated_at" = NULL WHERE "source_updated_at" > "read_at" + interval '1 day';--> statement-breakpoint
UPDATE "warehouse"."transactions" SET "source_updated_at" = NULL WHERE "source_updated_at" > "read_at" + interval '1 day';
