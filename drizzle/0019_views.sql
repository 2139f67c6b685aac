DROP INDEX "warehouse"."checkouts_day";--> statement-breakpoint
DROP INDEX "warehouse"."payouts_day";--> statement-breakpoint
ALTER TABLE "warehouse"."checkouts" ADD COLUMN "time_zone" text DEFAULT 'UTC' NOT NULL;--> statement-breakpoint
ALTER TABLE "warehouse"."checkouts" ADD COLUMN "day" date GENERATED ALWAYS AS ((coalesce(created_at, updated_at) AT TIME ZONE time_zone)::date) STORED;--> statement-breakpoint
ALTER TABLE "warehouse"."payouts" ADD COLUMN "time_zone" text DEFAULT 'UTC' NOT NULL;--> statement-breakpoint
ALTER TABLE "warehouse"."payouts" ADD COLUMN "day" date GENERATED ALWAYS AS ((coalesce(created_at, updated_at) AT TIME ZONE time_zone)::date) STORED;--> statement-breakpoint
CREATE INDEX "transactions_event_id" ON "warehouse"."transactions" USING btree ("event_id","account");--> statement-breakpoint
CREATE INDEX "checkouts_day" ON "warehouse"."checkouts" USING btree ("day","account");--> statement-breakpoint
CREATE INDEX "payouts_day" ON "warehouse"."payouts" USING btree ("day","account");