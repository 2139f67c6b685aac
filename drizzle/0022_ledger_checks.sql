CREATE TABLE "sync"."ledger_checks" (
	"account" text NOT NULL,
	"check_name" text NOT NULL,
	"currency" text NOT NULL,
	"left_amount" numeric,
	"right_amount" numeric,
	"difference" numeric,
	"row_count" bigint NOT NULL,
	"differs_count" bigint NOT NULL,
	"state" text NOT NULL,
	"explanation" text,
	"is_waiting" boolean NOT NULL,
	"checked_at" timestamp with time zone NOT NULL,
	CONSTRAINT "ledger_checks_account_check_name_currency_pk" PRIMARY KEY("account","check_name","currency"),
	CONSTRAINT "ledger_checks_state" CHECK ("sync"."ledger_checks"."state" IN ('ok', 'differs', 'not_comparable'))
);
--> statement-breakpoint
CREATE INDEX "transactions_first_seen" ON "warehouse"."transactions" USING brin ("first_seen_at");--> statement-breakpoint
CREATE INDEX "transactions_fee_sum" ON "warehouse"."transactions" USING btree ("account") WHERE "warehouse"."transactions"."fees_including_tax" <> "warehouse"."transactions"."fees_without_tax" + "warehouse"."transactions"."tax_on_fees";