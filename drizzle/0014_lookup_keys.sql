CREATE TABLE "sync"."lookup_keys" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"record_id" text NOT NULL,
	"checked_at" timestamp with time zone NOT NULL,
	"changed_at" timestamp with time zone NOT NULL,
	"check_error" text,
	"run_id" uuid NOT NULL,
	CONSTRAINT "lookup_keys_account_stream_record_id_pk" PRIMARY KEY("account","stream","record_id")
);
--> statement-breakpoint
CREATE INDEX "lookup_keys_failed" ON "sync"."lookup_keys" USING btree ("account","stream") WHERE "sync"."lookup_keys"."check_error" IS NOT NULL;