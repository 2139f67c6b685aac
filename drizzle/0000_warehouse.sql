CREATE SCHEMA "sync";
--> statement-breakpoint
CREATE SCHEMA "warehouse";
--> statement-breakpoint
CREATE TABLE "sync"."checkpoints" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"pass_id" uuid NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"position" jsonb,
	"seen_keys" bigint DEFAULT 0 NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	CONSTRAINT "checkpoints_account_stream_pk" PRIMARY KEY("account","stream")
);
--> statement-breakpoint
CREATE TABLE "sync"."contracts" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"path" text NOT NULL,
	"is_verified" boolean NOT NULL,
	"contract" jsonb NOT NULL,
	"found_at" timestamp with time zone NOT NULL,
	"verified_at" timestamp with time zone,
	CONSTRAINT "contracts_account_stream_pk" PRIMARY KEY("account","stream")
);
--> statement-breakpoint
CREATE TABLE "sync"."due_keys" (
	"run_id" uuid NOT NULL,
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"position" bigint NOT NULL,
	"record_id" text NOT NULL,
	CONSTRAINT "due_keys_run_id_account_stream_position_pk" PRIMARY KEY("run_id","account","stream","position")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."event_directions" (
	"event_type" text NOT NULL,
	"event_name" text DEFAULT '*' NOT NULL,
	"direction" smallint NOT NULL,
	"note" text,
	CONSTRAINT "event_directions_event_type_event_name_pk" PRIMARY KEY("event_type","event_name")
);
--> statement-breakpoint
CREATE TABLE "sync"."leases" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"run_id" uuid NOT NULL,
	"holder" text NOT NULL,
	"fence" bigint NOT NULL,
	"acquired_at" timestamp with time zone NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	CONSTRAINT "leases_account_stream_pk" PRIMARY KEY("account","stream")
);
--> statement-breakpoint
CREATE TABLE "sync"."missing_keys" (
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"record_id" text NOT NULL,
	CONSTRAINT "missing_keys_account_stream_record_id_pk" PRIMARY KEY("account","stream","record_id")
);
--> statement-breakpoint
CREATE TABLE "sync"."rejects" (
	"reject_id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."rejects_reject_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"record_id" text,
	"field" text,
	"reason" text NOT NULL,
	"raw" text NOT NULL,
	"content_hash" text NOT NULL,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."runs" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone,
	"status" text NOT NULL,
	"host" text NOT NULL,
	"process_id" integer NOT NULL,
	"version" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."seen_keys" (
	"pass_id" uuid NOT NULL,
	"record_id" text NOT NULL,
	CONSTRAINT "seen_keys_pass_id_record_id_pk" PRIMARY KEY("pass_id","record_id")
);
--> statement-breakpoint
CREATE TABLE "sync"."stream_runs" (
	"run_id" uuid NOT NULL,
	"account" text NOT NULL,
	"stream" text NOT NULL,
	"pass_id" uuid,
	"mode" text NOT NULL,
	"status" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone,
	"pages" bigint DEFAULT 0 NOT NULL,
	"extracted" bigint DEFAULT 0 NOT NULL,
	"inserted" bigint DEFAULT 0 NOT NULL,
	"updated" bigint DEFAULT 0 NOT NULL,
	"unchanged" bigint DEFAULT 0 NOT NULL,
	"stale" bigint DEFAULT 0 NOT NULL,
	"rejected" bigint DEFAULT 0 NOT NULL,
	"removed" bigint DEFAULT 0 NOT NULL,
	"left_over" bigint DEFAULT 0 NOT NULL,
	"requests" bigint DEFAULT 0 NOT NULL,
	"retries" bigint DEFAULT 0 NOT NULL,
	"error" text,
	"note" text,
	CONSTRAINT "stream_runs_run_id_account_stream_pk" PRIMARY KEY("run_id","account","stream")
);
--> statement-breakpoint
CREATE TABLE "sync"."views" (
	"name" text PRIMARY KEY NOT NULL,
	"definition_hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "warehouse"."checkout_fees" (
	"account" text NOT NULL,
	"checkout_id" text NOT NULL,
	"position" integer NOT NULL,
	"fee_name" text,
	"fee_amount" numeric,
	CONSTRAINT "checkout_fees_account_checkout_id_position_pk" PRIMARY KEY("account","checkout_id","position"),
	CONSTRAINT "checkout_fees_finite" CHECK ("warehouse"."checkout_fees"."fee_amount" NOT IN ('NaN', 'Infinity', '-Infinity'))
);
--> statement-breakpoint
CREATE TABLE "warehouse"."checkout_items" (
	"account" text NOT NULL,
	"checkout_id" text NOT NULL,
	"position" integer NOT NULL,
	"product_name" text,
	"quantity" numeric,
	"unit_price" numeric,
	CONSTRAINT "checkout_items_account_checkout_id_position_pk" PRIMARY KEY("account","checkout_id","position"),
	CONSTRAINT "checkout_items_finite" CHECK ("warehouse"."checkout_items"."quantity" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."checkout_items"."unit_price" NOT IN ('NaN', 'Infinity', '-Infinity'))
);
--> statement-breakpoint
CREATE TABLE "warehouse"."checkouts" (
	"account" text NOT NULL,
	"raw" jsonb NOT NULL,
	"content_hash" text NOT NULL,
	"source_updated_at" timestamp with time zone,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL,
	"removed_at" timestamp with time zone,
	"checkout_id" text NOT NULL,
	"merchant_id" text,
	"customer_id" text,
	"amount" numeric NOT NULL,
	"currency" text NOT NULL,
	"country_code" text,
	"country_name" text,
	"payin_method_name" text,
	"payin_type" text,
	"description" text,
	"expire_at" timestamp with time zone,
	"created_at" timestamp with time zone,
	"updated_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "checkouts_account_checkout_id_pk" PRIMARY KEY("account","checkout_id"),
	CONSTRAINT "checkouts_finite" CHECK ("warehouse"."checkouts"."amount" NOT IN ('NaN', 'Infinity', '-Infinity'))
);
--> statement-breakpoint
CREATE TABLE "warehouse"."customers" (
	"account" text NOT NULL,
	"raw" jsonb NOT NULL,
	"content_hash" text NOT NULL,
	"source_updated_at" timestamp with time zone,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL,
	"removed_at" timestamp with time zone,
	"customer_id" text NOT NULL,
	"org_id" text,
	"type" text,
	"description" text,
	"is_active" boolean,
	"is_wallet_ready" boolean,
	"organization_reference_id" text,
	"is_gca_enabled" boolean,
	"gca_activation_status" text,
	"gca_activated_at" timestamp with time zone,
	"is_sender_validation_enabled" boolean,
	"company_domain" text,
	"status" text,
	"is_enabled" boolean,
	"account_usage_purpose" text,
	"first_name" text,
	"last_name" text,
	"dob" text,
	"email" text,
	"identification_type" text,
	"identification_value" text,
	"nationality" text,
	"country_of_residence" text,
	"address_line1" text,
	"address_line2" text,
	"address_city" text,
	"address_state" text,
	"address_country" text,
	"address_zip_code" text,
	"phone_country_code" text,
	"phone_number" text,
	"company_name" text,
	"company_registration_number" text,
	"company_incorporation_country" text,
	"company_email" text,
	"created_by" text,
	"created_at" timestamp with time zone,
	"updated_at" timestamp with time zone,
	CONSTRAINT "customers_account_customer_id_pk" PRIMARY KEY("account","customer_id")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."payout_status_history" (
	"account" text NOT NULL,
	"payout_id" text NOT NULL,
	"status" text NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	CONSTRAINT "payout_status_history_account_payout_id_status_pk" PRIMARY KEY("account","payout_id","status")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."payouts" (
	"account" text NOT NULL,
	"raw" jsonb NOT NULL,
	"content_hash" text NOT NULL,
	"source_updated_at" timestamp with time zone,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL,
	"removed_at" timestamp with time zone,
	"payout_id" text NOT NULL,
	"provider_payout_id" text,
	"merchant_id" text,
	"status" text NOT NULL,
	"approval" text,
	"type" text,
	"amount" numeric NOT NULL,
	"currency" text NOT NULL,
	"fee_taken" numeric,
	"fee_expected" numeric,
	"payout_method_name" text,
	"wire_id" text,
	"order_id" text,
	"last_action" text,
	"process" text,
	"conversion" text,
	"wire_origin" text,
	"payee_name" text,
	"beneficiary" text,
	"beneficiary_account_number" text,
	"beneficiary_account_iban" text,
	"due_date" timestamp with time zone,
	"created_at" timestamp with time zone,
	"updated_at" timestamp with time zone,
	"approved_at" timestamp with time zone,
	"denied_at" timestamp with time zone,
	"pending_at" timestamp with time zone,
	CONSTRAINT "payouts_account_payout_id_pk" PRIMARY KEY("account","payout_id"),
	CONSTRAINT "payouts_finite" CHECK ("warehouse"."payouts"."amount" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."payouts"."fee_taken" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."payouts"."fee_expected" NOT IN ('NaN', 'Infinity', '-Infinity'))
);
--> statement-breakpoint
CREATE TABLE "warehouse"."settlement_history" (
	"account" text NOT NULL,
	"transaction_id" text NOT NULL,
	"settled_seen_at" timestamp with time zone NOT NULL,
	CONSTRAINT "settlement_history_account_transaction_id_pk" PRIMARY KEY("account","transaction_id")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."transactions" (
	"account" text NOT NULL,
	"raw" jsonb NOT NULL,
	"content_hash" text NOT NULL,
	"source_updated_at" timestamp with time zone,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL,
	"removed_at" timestamp with time zone,
	"transaction_id" text NOT NULL,
	"org_id" text NOT NULL,
	"customer_id" text,
	"owner_id" text NOT NULL,
	"amount" numeric NOT NULL,
	"currency" text NOT NULL,
	"fees_currency" text,
	"fees_without_tax" numeric,
	"tax_on_fees" numeric,
	"fees_including_tax" numeric,
	"net_amount" numeric,
	"event_id" text,
	"event_type" text NOT NULL,
	"event_name" text,
	"event_description" text,
	"scope" text,
	"invoice_id" text,
	"is_settled" boolean NOT NULL,
	"settlement_id" text,
	"is_reconciled" boolean,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone,
	CONSTRAINT "transactions_account_transaction_id_pk" PRIMARY KEY("account","transaction_id"),
	CONSTRAINT "transactions_finite" CHECK ("warehouse"."transactions"."amount" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."transactions"."fees_without_tax" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."transactions"."tax_on_fees" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."transactions"."fees_including_tax" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."transactions"."net_amount" NOT IN ('NaN', 'Infinity', '-Infinity'))
);
--> statement-breakpoint
CREATE TABLE "warehouse"."wallet_readiness" (
	"account" text NOT NULL,
	"customer_id" text NOT NULL,
	"is_wallet_ready" boolean,
	"missing_fields" text[] NOT NULL,
	"checked_at" timestamp with time zone NOT NULL,
	"changed_at" timestamp with time zone,
	"check_error" text,
	"raw" jsonb,
	"run_id" uuid NOT NULL,
	CONSTRAINT "wallet_readiness_account_customer_id_pk" PRIMARY KEY("account","customer_id")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."wallet_readiness_history" (
	"account" text NOT NULL,
	"customer_id" text NOT NULL,
	"valid_from" timestamp with time zone NOT NULL,
	"valid_to" timestamp with time zone,
	"is_wallet_ready" boolean NOT NULL,
	"missing_fields" text[] NOT NULL,
	CONSTRAINT "wallet_readiness_history_account_customer_id_valid_from_pk" PRIMARY KEY("account","customer_id","valid_from")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."wallet_accounts" (
	"account" text NOT NULL,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL,
	"removed_at" timestamp with time zone,
	"wallet_account_id" text NOT NULL,
	"wallet_id" text NOT NULL,
	"org_id" text,
	"currency" text NOT NULL,
	"actual_balance" numeric NOT NULL,
	"available_balance" numeric,
	"is_active" boolean,
	"is_settlement_allowed" boolean,
	"is_deleted" boolean,
	"created_at" timestamp with time zone,
	"updated_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "wallet_accounts_account_wallet_account_id_pk" PRIMARY KEY("account","wallet_account_id"),
	CONSTRAINT "wallet_accounts_finite" CHECK ("warehouse"."wallet_accounts"."actual_balance" NOT IN ('NaN', 'Infinity', '-Infinity') AND "warehouse"."wallet_accounts"."available_balance" NOT IN ('NaN', 'Infinity', '-Infinity'))
);
--> statement-breakpoint
CREATE TABLE "warehouse"."wallet_balance_snapshots" (
	"account" text NOT NULL,
	"wallet_account_id" text NOT NULL,
	"observed_at" timestamp with time zone NOT NULL,
	"currency" text NOT NULL,
	"actual_balance" numeric NOT NULL,
	"available_balance" numeric,
	CONSTRAINT "wallet_balance_snapshots_account_wallet_account_id_observed_at_pk" PRIMARY KEY("account","wallet_account_id","observed_at")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."wallets" (
	"account" text NOT NULL,
	"raw" jsonb NOT NULL,
	"content_hash" text NOT NULL,
	"source_updated_at" timestamp with time zone,
	"read_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"run_id" uuid NOT NULL,
	"removed_at" timestamp with time zone,
	"wallet_id" text NOT NULL,
	"org_id" text,
	"customer_id" text,
	"category" text,
	"scope" text,
	"wallet_alias" text,
	"description" text,
	"is_active" boolean,
	"is_deleted" boolean,
	"created_by" text,
	"created_at" timestamp with time zone,
	"updated_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "wallets_account_wallet_id_pk" PRIMARY KEY("account","wallet_id")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "rejects_content" ON "sync"."rejects" USING btree ("account","stream","content_hash");--> statement-breakpoint
CREATE INDEX "rejects_record" ON "sync"."rejects" USING btree ("account","stream","record_id");--> statement-breakpoint
CREATE INDEX "stream_runs_latest" ON "sync"."stream_runs" USING btree ("account","stream","started_at");--> statement-breakpoint
CREATE INDEX "checkouts_customer" ON "warehouse"."checkouts" USING btree ("account","customer_id");--> statement-breakpoint
CREATE INDEX "checkouts_day" ON "warehouse"."checkouts" USING btree (((coalesce("created_at", "updated_at") AT TIME ZONE 'UTC')::date),"account");--> statement-breakpoint
CREATE INDEX "payouts_provider" ON "warehouse"."payouts" USING btree ("account","provider_payout_id");--> statement-breakpoint
CREATE INDEX "payouts_day" ON "warehouse"."payouts" USING btree (((coalesce("created_at", "updated_at") AT TIME ZONE 'UTC')::date),"account");--> statement-breakpoint
CREATE INDEX "transactions_owner" ON "warehouse"."transactions" USING btree ("owner_id","account","currency","created_at");--> statement-breakpoint
CREATE INDEX "transactions_customer" ON "warehouse"."transactions" USING btree ("customer_id","account");--> statement-breakpoint
CREATE INDEX "transactions_settlement" ON "warehouse"."transactions" USING btree ("settlement_id","account");--> statement-breakpoint
CREATE INDEX "transactions_day" ON "warehouse"."transactions" USING btree ((("created_at" AT TIME ZONE 'UTC')::date),"account");--> statement-breakpoint
CREATE INDEX "transactions_unsettled" ON "warehouse"."transactions" USING btree ("account","customer_id") WHERE NOT "warehouse"."transactions"."is_settled";--> statement-breakpoint
CREATE INDEX "wallet_accounts_wallet" ON "warehouse"."wallet_accounts" USING btree ("account","wallet_id");--> statement-breakpoint
CREATE INDEX "wallets_customer" ON "warehouse"."wallets" USING btree ("account","customer_id");