CREATE TABLE "sync"."unavailable" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"reason" text NOT NULL,
	"views" text[] NOT NULL,
	"since" timestamp with time zone NOT NULL,
	"checked_at" timestamp with time zone NOT NULL,
	CONSTRAINT "unavailable_account_stream_pk" PRIMARY KEY("account","stream")
);
