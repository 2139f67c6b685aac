ALTER TABLE "sync"."fields" ADD COLUMN "new_lacked" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."fields" ADD COLUMN "new_lacked_since" timestamp with time zone;--> statement-breakpoint
-- by hand
-- The level was only booked for fields that were missing. Until the next pass says it, figures may rest on each field.
UPDATE "sync"."fields" SET "level" = 'bad' WHERE "missing_since" IS NULL AND "unreadable_since" IS NULL;
