DROP INDEX "warehouse"."transactions_customer";--> statement-breakpoint
CREATE INDEX "checkouts_created" ON "warehouse"."checkouts" USING btree ("created_at","account");--> statement-breakpoint
CREATE INDEX "payouts_created" ON "warehouse"."payouts" USING btree ("created_at","account");--> statement-breakpoint
CREATE INDEX "transactions_customer" ON "warehouse"."transactions" USING btree ("customer_id","account","created_at");