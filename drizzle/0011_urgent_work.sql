CREATE TABLE "sync"."urgent_work" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"record_id" text NOT NULL,
	"request_id" uuid NOT NULL,
	"asked_at" timestamp with time zone NOT NULL,
	"due_at" timestamp with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"closed_at" timestamp with time zone,
	"outcome" text,
	"reason" text,
	"is_news" boolean DEFAULT false NOT NULL,
	CONSTRAINT "urgent_work_account_stream_record_id_pk" PRIMARY KEY("account","stream","record_id"),
	CONSTRAINT "urgent_work_outcome" CHECK ("sync"."urgent_work"."outcome" IN ('stored', 'rejected', 'not_read'))
);
--> statement-breakpoint
CREATE INDEX "urgent_work_open" ON "sync"."urgent_work" USING btree ("account","asked_at") WHERE closed_at IS NULL;