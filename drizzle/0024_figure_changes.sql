CREATE TABLE "sync"."event_kinds" (
	"account" text NOT NULL,
	"event_type" text NOT NULL,
	"event_name" text NOT NULL,
	"is_negative" boolean NOT NULL,
	CONSTRAINT "event_kinds_account_event_type_event_name_is_negative_pk" PRIMARY KEY("account","event_type","event_name","is_negative")
);
--> statement-breakpoint
CREATE TABLE "sync"."figure_changes" (
	"account" text NOT NULL,
	"table_name" text NOT NULL,
	"changed_at" timestamp with time zone NOT NULL,
	CONSTRAINT "figure_changes_account_table_name_pk" PRIMARY KEY("account","table_name")
);
--> statement-breakpoint
CREATE TABLE "sync"."transaction_versions" (
	"account" text NOT NULL,
	"transaction_id" text NOT NULL,
	"replaced_at" timestamp with time zone NOT NULL,
	"first_seen_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"customer_id" text,
	"org_id" text NOT NULL,
	"owner_id" text NOT NULL,
	"amount" numeric NOT NULL,
	"currency" text NOT NULL,
	"fee_currency" text NOT NULL,
	"fee_amount" numeric,
	"tax_amount" numeric,
	"is_fee_unreadable" boolean NOT NULL,
	"is_tax_unreadable" boolean NOT NULL,
	"event_type" text NOT NULL,
	"event_name" text,
	CONSTRAINT "transaction_versions_pk" PRIMARY KEY("account","transaction_id","replaced_at")
);
--> statement-breakpoint
CREATE INDEX "transaction_versions_replaced" ON "sync"."transaction_versions" USING btree ("account","replaced_at");--> statement-breakpoint
-- by hand: marks of changes, in the transaction that makes them. All writers of one table of an account hold its lease.
CREATE FUNCTION "sync"."mark_change"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $trigger$
BEGIN
  INSERT INTO sync.figure_changes AS f (account, table_name, changed_at)
  SELECT c.account, TG_TABLE_NAME::text, clock_timestamp() FROM changed AS c GROUP BY c.account
  ON CONFLICT (account, table_name) DO UPDATE SET changed_at = excluded.changed_at;
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
-- Marks changes of a table that an equation reads. A later migration calls it for a new one.
CREATE FUNCTION "sync"."mark_changes_of"("changing" regclass) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $marking$
BEGIN
  EXECUTE format('CREATE TRIGGER mark_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sync.mark_change()', changing);
  EXECUTE format('CREATE TRIGGER mark_updated AFTER UPDATE ON %s REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sync.mark_change()', changing);
  EXECUTE format('CREATE TRIGGER mark_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sync.mark_change()', changing);
END
$marking$;
--> statement-breakpoint
SELECT "sync"."mark_changes_of"(each) FROM unnest('{warehouse.transactions,warehouse.wallets,warehouse.wallet_accounts,warehouse.payouts}'::regclass[]) AS each;
--> statement-breakpoint
-- Another time of checking is no change.
CREATE TRIGGER "mark_inserted" AFTER INSERT ON "sync"."unavailable" REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION "sync"."mark_change"();
--> statement-breakpoint
CREATE TRIGGER "mark_deleted" AFTER DELETE ON "sync"."unavailable" REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION "sync"."mark_change"();
--> statement-breakpoint
-- A rule counts for all accounts.
CREATE FUNCTION "sync"."mark_rule"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $trigger$
BEGIN
  INSERT INTO sync.figure_changes AS f (account, table_name, changed_at)
  SELECT c.account, TG_TABLE_NAME::text, clock_timestamp() FROM sync.ledger_checks AS c GROUP BY c.account
  ON CONFLICT (account, table_name) DO UPDATE SET changed_at = excluded.changed_at;
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
CREATE TRIGGER "mark_changed" AFTER INSERT OR UPDATE OR DELETE ON "warehouse"."event_directions" FOR EACH STATEMENT EXECUTE FUNCTION "sync"."mark_rule"();
--> statement-breakpoint
CREATE FUNCTION "sync"."keep_kinds"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $trigger$
BEGIN
  INSERT INTO sync.event_kinds (account, event_type, event_name, is_negative)
  SELECT DISTINCT account, event_type, event_name, is_negative FROM new_rows
  -- Totals that are being made anew have another account's name, with a line feed.
  WHERE strpos(account, E'\n') = 0 ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
CREATE TRIGGER "keep_inserted" AFTER INSERT ON "warehouse"."transaction_kinds" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "sync"."keep_kinds"();
--> statement-breakpoint
INSERT INTO "sync"."event_kinds" (account, event_type, event_name, is_negative)
SELECT account, event_type, event_name, is_negative FROM "warehouse"."transaction_kinds"
UNION SELECT s.account, kind.of ->> 0, kind.of ->> 1, (kind.of ->> 2)::boolean
FROM "warehouse"."settlement_states" AS s
CROSS JOIN LATERAL jsonb_array_elements(s.states) AS state (kinds)
CROSS JOIN LATERAL jsonb_array_elements_text(state.kinds) AS name (text)
CROSS JOIN LATERAL (SELECT name.text::jsonb) AS kind (of);
--> statement-breakpoint
-- The next run computes the equations of every filled account.
INSERT INTO "sync"."figure_changes" (account, table_name, changed_at)
SELECT account, 'transactions', now() FROM "warehouse"."transaction_kinds"
UNION SELECT account, 'wallets', now() FROM "warehouse"."wallets" UNION SELECT account, 'payouts', now() FROM "warehouse"."payouts";
--> statement-breakpoint
CREATE FUNCTION "sync"."keep_version"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on AS $trigger$
BEGIN
  INSERT INTO sync.transaction_versions (account, transaction_id, replaced_at, first_seen_at, created_at, customer_id, org_id, owner_id,
    amount, currency, fee_currency, fee_amount, tax_amount, is_fee_unreadable, is_tax_unreadable, event_type, event_name)
  SELECT o.account, o.transaction_id, n.read_at, o.first_seen_at, o.created_at, o.customer_id, o.org_id, o.owner_id,
    o.amount, o.currency, o.fee_currency, o.fee_amount, o.tax_amount, o.is_fee_unreadable, o.is_tax_unreadable, o.event_type, o.event_name
  -- A rewritten row has the time of reading that it had.
  FROM old_rows AS o JOIN new_rows AS n ON n.account = o.account AND n.transaction_id = o.transaction_id AND n.read_at > o.read_at
  WHERE (n.created_at, n.customer_id, n.org_id, n.amount, n.currency, n.fee_currency, n.fee_amount, n.tax_amount, n.is_fee_unreadable,
      n.is_tax_unreadable, n.event_type, n.event_name)
    IS DISTINCT FROM (o.created_at, o.customer_id, o.org_id, o.amount, o.currency, o.fee_currency, o.fee_amount, o.tax_amount, o.is_fee_unreadable,
      o.is_tax_unreadable, o.event_type, o.event_name)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
CREATE TRIGGER "keep_version" AFTER UPDATE ON "warehouse"."transactions" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "sync"."keep_version"();
