DROP INDEX "warehouse"."checkouts_day";--> statement-breakpoint
DROP INDEX "warehouse"."payouts_day";--> statement-breakpoint
DROP INDEX "warehouse"."transactions_owner";--> statement-breakpoint
DROP INDEX "warehouse"."transactions_settlement";--> statement-breakpoint
DROP INDEX "warehouse"."transactions_day";--> statement-breakpoint
CREATE INDEX "transactions_customer" ON "warehouse"."transactions" USING btree ("customer_id","account");--> statement-breakpoint
CREATE INDEX "checkouts_day" ON "warehouse"."checkouts" USING btree (((coalesce("created_at", "updated_at") AT TIME ZONE 'UTC')::date),"account");--> statement-breakpoint
CREATE INDEX "payouts_day" ON "warehouse"."payouts" USING btree (((coalesce("created_at", "updated_at") AT TIME ZONE 'UTC')::date),"account");--> statement-breakpoint
CREATE INDEX "transactions_owner" ON "warehouse"."transactions" USING btree ("owner_id","account","currency","created_at");--> statement-breakpoint
CREATE INDEX "transactions_settlement" ON "warehouse"."transactions" USING btree ("settlement_id","account");--> statement-breakpoint
CREATE INDEX "transactions_day" ON "warehouse"."transactions" USING btree ((("created_at" AT TIME ZONE 'UTC')::date),"account");