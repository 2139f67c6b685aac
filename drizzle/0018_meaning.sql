CREATE TABLE "warehouse"."transaction_days" (
	"account" text NOT NULL,
	"day" date NOT NULL,
	"currency" text NOT NULL,
	"fee_currency" text NOT NULL,
	"event_type" text NOT NULL,
	"event_name" text NOT NULL,
	"is_negative" boolean NOT NULL,
	"is_settled" boolean NOT NULL,
	"has_settlement" boolean NOT NULL,
	"is_customer" boolean NOT NULL,
	"transaction_count" bigint DEFAULT 0 NOT NULL,
	"amount" numeric DEFAULT '0' NOT NULL,
	"fee_amount" numeric DEFAULT '0' NOT NULL,
	"tax_amount" numeric DEFAULT '0' NOT NULL,
	"fee_count" bigint DEFAULT 0 NOT NULL,
	"tax_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_fee_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_tax_count" bigint DEFAULT 0 NOT NULL,
	"net_amount" numeric DEFAULT '0' NOT NULL,
	"net_count" bigint DEFAULT 0 NOT NULL,
	"credit_in" numeric DEFAULT '0' NOT NULL,
	"credit_out" numeric DEFAULT '0' NOT NULL,
	"credit_none" numeric DEFAULT '0' NOT NULL,
	"credit_fee" numeric DEFAULT '0' NOT NULL,
	CONSTRAINT "transaction_days_pk" PRIMARY KEY("account","day","currency","fee_currency","event_type","event_name","is_negative","is_settled","has_settlement","is_customer")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."transaction_kinds" (
	"account" text NOT NULL,
	"currency" text NOT NULL,
	"fee_currency" text NOT NULL,
	"event_type" text NOT NULL,
	"event_name" text NOT NULL,
	"is_negative" boolean NOT NULL,
	"transaction_count" bigint DEFAULT 0 NOT NULL,
	"amount" numeric DEFAULT '0' NOT NULL,
	"fee_amount" numeric DEFAULT '0' NOT NULL,
	"tax_amount" numeric DEFAULT '0' NOT NULL,
	"fee_count" bigint DEFAULT 0 NOT NULL,
	"tax_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_fee_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_tax_count" bigint DEFAULT 0 NOT NULL,
	"net_amount" numeric DEFAULT '0' NOT NULL,
	"net_count" bigint DEFAULT 0 NOT NULL,
	"net_differs_in_count" bigint DEFAULT 0 NOT NULL,
	"net_difference_in" numeric DEFAULT '0' NOT NULL,
	"net_differs_out_count" bigint DEFAULT 0 NOT NULL,
	"net_difference_out" numeric DEFAULT '0' NOT NULL,
	"net_differs_none_count" bigint DEFAULT 0 NOT NULL,
	"net_difference_none" numeric DEFAULT '0' NOT NULL,
	CONSTRAINT "transaction_kinds_pk" PRIMARY KEY("account","event_type","event_name","is_negative","currency","fee_currency")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."transaction_owners" (
	"account" text NOT NULL,
	"owner_id" text NOT NULL,
	"org_id" text NOT NULL,
	"is_customer" boolean NOT NULL,
	"currency" text NOT NULL,
	"fee_currency" text NOT NULL,
	"event_type" text NOT NULL,
	"event_name" text NOT NULL,
	"is_negative" boolean NOT NULL,
	"transaction_count" bigint DEFAULT 0 NOT NULL,
	"amount" numeric DEFAULT '0' NOT NULL,
	"fee_amount" numeric DEFAULT '0' NOT NULL,
	"tax_amount" numeric DEFAULT '0' NOT NULL,
	"fee_count" bigint DEFAULT 0 NOT NULL,
	"tax_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_fee_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_tax_count" bigint DEFAULT 0 NOT NULL,
	"net_amount" numeric DEFAULT '0' NOT NULL,
	"net_count" bigint DEFAULT 0 NOT NULL,
	"first_transaction_at" timestamp with time zone,
	"last_transaction_at" timestamp with time zone,
	CONSTRAINT "transaction_owners_pk" PRIMARY KEY("owner_id","account","org_id","is_customer","currency","fee_currency","event_type","event_name","is_negative")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."transaction_settlements" (
	"account" text NOT NULL,
	"settlement_id" text NOT NULL,
	"currency" text NOT NULL,
	"fee_currency" text NOT NULL,
	"event_type" text NOT NULL,
	"event_name" text NOT NULL,
	"is_negative" boolean NOT NULL,
	"transaction_count" bigint DEFAULT 0 NOT NULL,
	"amount" numeric DEFAULT '0' NOT NULL,
	"fee_amount" numeric DEFAULT '0' NOT NULL,
	"tax_amount" numeric DEFAULT '0' NOT NULL,
	"fee_count" bigint DEFAULT 0 NOT NULL,
	"tax_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_fee_count" bigint DEFAULT 0 NOT NULL,
	"unreadable_tax_count" bigint DEFAULT 0 NOT NULL,
	"net_amount" numeric DEFAULT '0' NOT NULL,
	"net_count" bigint DEFAULT 0 NOT NULL,
	"settled_count" bigint DEFAULT 0 NOT NULL,
	"first_transaction_at" timestamp with time zone,
	"last_transaction_at" timestamp with time zone,
	"settled_seen_at" timestamp with time zone,
	"settled_witnessed_at" timestamp with time zone,
	CONSTRAINT "transaction_settlements_pk" PRIMARY KEY("settlement_id","account","currency","fee_currency","event_type","event_name","is_negative")
);
--> statement-breakpoint
DROP INDEX "warehouse"."transactions_event";--> statement-breakpoint
DROP INDEX "warehouse"."transactions_day";--> statement-breakpoint
ALTER TABLE "warehouse"."account_settings" ADD COLUMN "report_timezone" text;--> statement-breakpoint
ALTER TABLE "warehouse"."account_settings" ADD COLUMN "fee_owner" text;--> statement-breakpoint
ALTER TABLE "warehouse"."event_directions" ADD COLUMN "amount_sign" text DEFAULT 'absolute' NOT NULL;--> statement-breakpoint
ALTER TABLE "warehouse"."event_directions" ADD COLUMN "confirmed_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "warehouse"."event_directions" ADD COLUMN "confirmed_by" text;--> statement-breakpoint
-- by hand: one statement, so that a filled table is rewritten once.
ALTER TABLE "warehouse"."transactions"
  ADD COLUMN "fee_currency" text GENERATED ALWAYS AS (coalesce(fees_currency, currency)) STORED NOT NULL,
  ADD COLUMN "fee_amount" numeric GENERATED ALWAYS AS (CASE WHEN NOT ((fees_currency IS NULL AND raw ->> 'fees_currency' ~ '\S' IS TRUE) OR (fees_without_tax IS NULL AND raw ->> 'fees_without_tax' ~ '\S' IS TRUE)
  OR (fees_without_tax IS NULL AND ((fees_including_tax IS NULL AND raw ->> 'fees_including_tax' ~ '\S' IS TRUE) OR (fees_including_tax IS NOT NULL AND (tax_on_fees IS NULL AND raw ->> 'tax_on_fees' ~ '\S' IS TRUE)))))
  THEN coalesce(fees_without_tax, fees_including_tax - tax_on_fees, fees_including_tax) END) STORED,
  ADD COLUMN "tax_amount" numeric GENERATED ALWAYS AS (CASE WHEN NOT ((fees_currency IS NULL AND raw ->> 'fees_currency' ~ '\S' IS TRUE) OR (tax_on_fees IS NULL AND raw ->> 'tax_on_fees' ~ '\S' IS TRUE)
  OR (tax_on_fees IS NULL AND (fees_including_tax IS NOT NULL OR (fees_including_tax IS NULL AND raw ->> 'fees_including_tax' ~ '\S' IS TRUE))
    AND (fees_without_tax IS NOT NULL OR (fees_without_tax IS NULL AND raw ->> 'fees_without_tax' ~ '\S' IS TRUE))
    AND ((fees_including_tax IS NULL AND raw ->> 'fees_including_tax' ~ '\S' IS TRUE) OR (fees_without_tax IS NULL AND raw ->> 'fees_without_tax' ~ '\S' IS TRUE))))
  THEN coalesce(tax_on_fees, fees_including_tax - fees_without_tax, 0) END) STORED,
  ADD COLUMN "is_fee_unreadable" boolean GENERATED ALWAYS AS ((fees_currency IS NULL AND raw ->> 'fees_currency' ~ '\S' IS TRUE) OR (fees_without_tax IS NULL AND raw ->> 'fees_without_tax' ~ '\S' IS TRUE)
  OR (fees_without_tax IS NULL AND ((fees_including_tax IS NULL AND raw ->> 'fees_including_tax' ~ '\S' IS TRUE) OR (fees_including_tax IS NOT NULL AND (tax_on_fees IS NULL AND raw ->> 'tax_on_fees' ~ '\S' IS TRUE))))) STORED NOT NULL,
  ADD COLUMN "is_tax_unreadable" boolean GENERATED ALWAYS AS ((fees_currency IS NULL AND raw ->> 'fees_currency' ~ '\S' IS TRUE) OR (tax_on_fees IS NULL AND raw ->> 'tax_on_fees' ~ '\S' IS TRUE)
  OR (tax_on_fees IS NULL AND (fees_including_tax IS NOT NULL OR (fees_including_tax IS NULL AND raw ->> 'fees_including_tax' ~ '\S' IS TRUE))
    AND (fees_without_tax IS NOT NULL OR (fees_without_tax IS NULL AND raw ->> 'fees_without_tax' ~ '\S' IS TRUE))
    AND ((fees_including_tax IS NULL AND raw ->> 'fees_including_tax' ~ '\S' IS TRUE) OR (fees_without_tax IS NULL AND raw ->> 'fees_without_tax' ~ '\S' IS TRUE)))) STORED NOT NULL,
  ADD COLUMN "time_zone" text DEFAULT 'UTC' NOT NULL,
  ADD COLUMN "day" date GENERATED ALWAYS AS ((created_at AT TIME ZONE time_zone)::date) STORED;
--> statement-breakpoint
CREATE INDEX "transactions_created" ON "warehouse"."transactions" USING btree ("created_at","account");--> statement-breakpoint
CREATE INDEX "transactions_foreign_fee" ON "warehouse"."transactions" USING btree ("owner_id","account","fee_currency","created_at") WHERE "warehouse"."transactions"."fees_currency" <> "warehouse"."transactions"."currency";--> statement-breakpoint
CREATE INDEX "transactions_day" ON "warehouse"."transactions" USING btree ("day","account");--> statement-breakpoint
ALTER TABLE "warehouse"."event_directions" ADD CONSTRAINT "event_directions_sign" CHECK ("warehouse"."event_directions"."amount_sign" IN ('absolute', 'as_sent'));
--> statement-breakpoint
-- by hand: totals of transactions.
-- The statement that adds rows to the totals; %s is a query of rows with `step`: 1 for one that came, -1 for one that went.
CREATE FUNCTION "warehouse"."totals_statement"() RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $statement$
SELECT $totals$
  WITH line AS MATERIALIZED (%s), changed AS (
    SELECT line.*, abs(abs(net_amount) - abs(amount - charged)) AS net_difference_in,
      abs(abs(net_amount) - abs(-amount - charged)) AS net_difference_out,
      abs(abs(net_amount) - abs(charged)) AS net_difference_none,
      greatest(amount - charged, 0) AS credit_in, greatest(-amount - charged, 0) AS credit_out, greatest(-charged, 0) AS credit_none,
      greatest(-(coalesce(fee_amount, 0) + tax_amount), 0) AS credit_fee
    FROM line CROSS JOIN LATERAL (
      SELECT CASE WHEN is_fee_unreadable OR is_tax_unreadable THEN NULL
        WHEN fee_currency = currency THEN coalesce(fee_amount, 0) + tax_amount ELSE 0 END AS charged
    ) AS fee
  ), kinds AS (
    INSERT INTO warehouse.transaction_kinds AS t (account, currency, fee_currency, event_type, event_name, is_negative, transaction_count, amount, fee_amount, tax_amount, fee_count, tax_count, unreadable_fee_count, unreadable_tax_count, net_amount, net_count, net_differs_in_count, net_difference_in, net_differs_out_count, net_difference_out, net_differs_none_count, net_difference_none)
    SELECT account, currency, fee_currency, event_type, event_name, is_negative, sum(step), sum(step * amount), coalesce(sum(step * fee_amount), 0), coalesce(sum(step * tax_amount), 0), coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0), coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0), coalesce(sum(step * net_amount), 0), coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0), coalesce(sum(step) FILTER (WHERE net_difference_in <> 0), 0), coalesce(sum(step * net_difference_in), 0), coalesce(sum(step) FILTER (WHERE net_difference_out <> 0), 0), coalesce(sum(step * net_difference_out), 0), coalesce(sum(step) FILTER (WHERE net_difference_none <> 0), 0), coalesce(sum(step * net_difference_none), 0)
    FROM changed GROUP BY account, currency, fee_currency, event_type, event_name, is_negative
    HAVING sum(step) <> 0 OR sum(step * amount) <> 0 OR coalesce(sum(step * fee_amount), 0) <> 0 OR coalesce(sum(step * tax_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0) <> 0 OR coalesce(sum(step * net_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_difference_in <> 0), 0) <> 0 OR coalesce(sum(step * net_difference_in), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_difference_out <> 0), 0) <> 0 OR coalesce(sum(step * net_difference_out), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_difference_none <> 0), 0) <> 0 OR coalesce(sum(step * net_difference_none), 0) <> 0
    ON CONFLICT (account, currency, fee_currency, event_type, event_name, is_negative) DO UPDATE SET transaction_count = t.transaction_count + excluded.transaction_count, amount = t.amount + excluded.amount, fee_amount = t.fee_amount + excluded.fee_amount, tax_amount = t.tax_amount + excluded.tax_amount, fee_count = t.fee_count + excluded.fee_count, tax_count = t.tax_count + excluded.tax_count, unreadable_fee_count = t.unreadable_fee_count + excluded.unreadable_fee_count, unreadable_tax_count = t.unreadable_tax_count + excluded.unreadable_tax_count, net_amount = t.net_amount + excluded.net_amount, net_count = t.net_count + excluded.net_count, net_differs_in_count = t.net_differs_in_count + excluded.net_differs_in_count, net_difference_in = t.net_difference_in + excluded.net_difference_in, net_differs_out_count = t.net_differs_out_count + excluded.net_differs_out_count, net_difference_out = t.net_difference_out + excluded.net_difference_out, net_differs_none_count = t.net_differs_none_count + excluded.net_differs_none_count, net_difference_none = t.net_difference_none + excluded.net_difference_none
  ), days AS (
    INSERT INTO warehouse.transaction_days AS t (account, day, currency, fee_currency, event_type, event_name, is_negative, is_settled, has_settlement, is_customer, transaction_count, amount, fee_amount, tax_amount, fee_count, tax_count, unreadable_fee_count, unreadable_tax_count, net_amount, net_count, credit_in, credit_out, credit_none, credit_fee)
    SELECT account, day, currency, fee_currency, event_type, event_name, is_negative, is_settled, has_settlement, is_customer, sum(step), sum(step * amount), coalesce(sum(step * fee_amount), 0), coalesce(sum(step * tax_amount), 0), coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0), coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0), coalesce(sum(step * net_amount), 0), coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0), coalesce(sum(step * credit_in), 0), coalesce(sum(step * credit_out), 0), coalesce(sum(step * credit_none), 0), coalesce(sum(step * credit_fee), 0)
    FROM changed GROUP BY account, day, currency, fee_currency, event_type, event_name, is_negative, is_settled, has_settlement, is_customer
    HAVING sum(step) <> 0 OR sum(step * amount) <> 0 OR coalesce(sum(step * fee_amount), 0) <> 0 OR coalesce(sum(step * tax_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0) <> 0 OR coalesce(sum(step * net_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0) <> 0 OR coalesce(sum(step * credit_in), 0) <> 0 OR coalesce(sum(step * credit_out), 0) <> 0 OR coalesce(sum(step * credit_none), 0) <> 0 OR coalesce(sum(step * credit_fee), 0) <> 0
    ON CONFLICT (account, day, currency, fee_currency, event_type, event_name, is_negative, is_settled, has_settlement, is_customer) DO UPDATE SET transaction_count = t.transaction_count + excluded.transaction_count, amount = t.amount + excluded.amount, fee_amount = t.fee_amount + excluded.fee_amount, tax_amount = t.tax_amount + excluded.tax_amount, fee_count = t.fee_count + excluded.fee_count, tax_count = t.tax_count + excluded.tax_count, unreadable_fee_count = t.unreadable_fee_count + excluded.unreadable_fee_count, unreadable_tax_count = t.unreadable_tax_count + excluded.unreadable_tax_count, net_amount = t.net_amount + excluded.net_amount, net_count = t.net_count + excluded.net_count, credit_in = t.credit_in + excluded.credit_in, credit_out = t.credit_out + excluded.credit_out, credit_none = t.credit_none + excluded.credit_none, credit_fee = t.credit_fee + excluded.credit_fee
  ), settlements AS (
    INSERT INTO warehouse.transaction_settlements AS t (account, settlement_id, currency, fee_currency, event_type, event_name, is_negative, transaction_count, amount, fee_amount, tax_amount, fee_count, tax_count, unreadable_fee_count, unreadable_tax_count, net_amount, net_count, settled_count, first_transaction_at, last_transaction_at)
    SELECT account, settlement_id, currency, fee_currency, event_type, event_name, is_negative, sum(step), sum(step * amount), coalesce(sum(step * fee_amount), 0), coalesce(sum(step * tax_amount), 0), coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0), coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0), coalesce(sum(step * net_amount), 0), coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0), coalesce(sum(step) FILTER (WHERE is_settled), 0), min(created_at) FILTER (WHERE step > 0), max(created_at) FILTER (WHERE step > 0)
    FROM changed WHERE has_settlement GROUP BY account, settlement_id, currency, fee_currency, event_type, event_name, is_negative
    HAVING sum(step) <> 0 OR sum(step * amount) <> 0 OR coalesce(sum(step * fee_amount), 0) <> 0 OR coalesce(sum(step * tax_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0) <> 0 OR coalesce(sum(step * net_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_settled), 0) <> 0
    ON CONFLICT (account, settlement_id, currency, fee_currency, event_type, event_name, is_negative) DO UPDATE SET transaction_count = t.transaction_count + excluded.transaction_count, amount = t.amount + excluded.amount, fee_amount = t.fee_amount + excluded.fee_amount, tax_amount = t.tax_amount + excluded.tax_amount, fee_count = t.fee_count + excluded.fee_count, tax_count = t.tax_count + excluded.tax_count, unreadable_fee_count = t.unreadable_fee_count + excluded.unreadable_fee_count, unreadable_tax_count = t.unreadable_tax_count + excluded.unreadable_tax_count, net_amount = t.net_amount + excluded.net_amount, net_count = t.net_count + excluded.net_count, settled_count = t.settled_count + excluded.settled_count, first_transaction_at = least(t.first_transaction_at, excluded.first_transaction_at), last_transaction_at = greatest(t.last_transaction_at, excluded.last_transaction_at)
  )
  INSERT INTO warehouse.transaction_owners AS t (account, owner_id, org_id, is_customer, currency, fee_currency, event_type, event_name, is_negative, transaction_count, amount, fee_amount, tax_amount, fee_count, tax_count, unreadable_fee_count, unreadable_tax_count, net_amount, net_count, first_transaction_at, last_transaction_at)
    SELECT account, owner_id, org_id, is_customer, currency, fee_currency, event_type, event_name, is_negative, sum(step), sum(step * amount), coalesce(sum(step * fee_amount), 0), coalesce(sum(step * tax_amount), 0), coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0), coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0), coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0), coalesce(sum(step * net_amount), 0), coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0), min(created_at) FILTER (WHERE step > 0), max(created_at) FILTER (WHERE step > 0)
    FROM changed GROUP BY account, owner_id, org_id, is_customer, currency, fee_currency, event_type, event_name, is_negative
    HAVING sum(step) <> 0 OR sum(step * amount) <> 0 OR coalesce(sum(step * fee_amount), 0) <> 0 OR coalesce(sum(step * tax_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE fee_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE tax_amount <> 0), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_fee_unreadable), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE is_tax_unreadable), 0) <> 0 OR coalesce(sum(step * net_amount), 0) <> 0 OR coalesce(sum(step) FILTER (WHERE net_amount IS NOT NULL), 0) <> 0
    ON CONFLICT (account, owner_id, org_id, is_customer, currency, fee_currency, event_type, event_name, is_negative) DO UPDATE SET transaction_count = t.transaction_count + excluded.transaction_count, amount = t.amount + excluded.amount, fee_amount = t.fee_amount + excluded.fee_amount, tax_amount = t.tax_amount + excluded.tax_amount, fee_count = t.fee_count + excluded.fee_count, tax_count = t.tax_count + excluded.tax_count, unreadable_fee_count = t.unreadable_fee_count + excluded.unreadable_fee_count, unreadable_tax_count = t.unreadable_tax_count + excluded.unreadable_tax_count, net_amount = t.net_amount + excluded.net_amount, net_count = t.net_count + excluded.net_count, first_transaction_at = least(t.first_transaction_at, excluded.first_transaction_at), last_transaction_at = greatest(t.last_transaction_at, excluded.last_transaction_at)
$totals$
$statement$;
--> statement-breakpoint
-- What a total needs of a row of a table or transition table.
CREATE FUNCTION "warehouse"."totals_lines"("step" integer, "relation" text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $lines$
  SELECT format('SELECT %s AS step, account, transaction_id, owner_id, org_id, customer_id IS NOT NULL AS is_customer, day, created_at,
      settlement_id, settlement_id IS NOT NULL AS has_settlement, is_settled, currency, fee_currency, event_type,
      coalesce(event_name, '''') AS event_name, amount < 0 AS is_negative, abs(amount) AS amount, fee_amount, tax_amount,
      is_fee_unreadable, is_tax_unreadable, net_amount FROM %s', step, relation)
$lines$;
--> statement-breakpoint
-- Earliest and latest times of the settlements and owners that rows left or came to another way than by being inserted, and
-- times of settlement; `moved` names the relation with their keys. A total of nothing goes.
CREATE FUNCTION "warehouse"."totals_times"() RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $statement$
SELECT $totals$
  UPDATE warehouse.transaction_settlements AS t
  SET first_transaction_at = s.first_at, last_transaction_at = s.last_at, settled_seen_at = s.seen_at, settled_witnessed_at = s.witnessed_at
  FROM (
    SELECT one.account, one.settlement_id, one.currency, one.fee_currency, one.event_type, coalesce(one.event_name, '') AS event_name,
      one.amount < 0 AS is_negative, min(one.created_at) AS first_at, max(one.created_at) AS last_at,
      max(h.settled_seen_at) AS seen_at, max(h.settled_seen_at) FILTER (WHERE h.settled_seen_at > one.first_seen_at) AS witnessed_at
    FROM (SELECT DISTINCT account, settlement_id FROM (%1$s) AS moved WHERE settlement_id IS NOT NULL) AS touched
    JOIN warehouse.transactions AS one ON one.account = touched.account AND one.settlement_id = touched.settlement_id
    LEFT JOIN warehouse.settlement_history AS h ON h.account = one.account AND h.transaction_id = one.transaction_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7
  ) AS s
  WHERE (t.account, t.settlement_id, t.currency, t.fee_currency, t.event_type, t.event_name, t.is_negative)
      = (s.account, s.settlement_id, s.currency, s.fee_currency, s.event_type, s.event_name, s.is_negative)
    AND (t.first_transaction_at, t.last_transaction_at, t.settled_seen_at, t.settled_witnessed_at)
      IS DISTINCT FROM (s.first_at, s.last_at, s.seen_at, s.witnessed_at)
$totals$
$statement$;
--> statement-breakpoint
CREATE FUNCTION "warehouse"."total_transactions"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $trigger$
DECLARE
  -- Rows whose place in a total's times may be another one now.
  moved text := CASE TG_OP
    WHEN 'DELETE' THEN 'SELECT account, settlement_id, owner_id FROM old_rows'
    WHEN 'UPDATE' THEN 'SELECT each.account, each.settlement_id, each.owner_id FROM old_rows AS o
      JOIN new_rows AS n ON n.account = o.account AND n.transaction_id = o.transaction_id
        AND (n.settlement_id, n.owner_id, n.org_id, n.customer_id IS NULL, n.currency, n.fee_currency, n.event_type, n.event_name,
            n.amount < 0, n.created_at)
          IS DISTINCT FROM (o.settlement_id, o.owner_id, o.org_id, o.customer_id IS NULL, o.currency, o.fee_currency, o.event_type,
            o.event_name, o.amount < 0, o.created_at)
      CROSS JOIN LATERAL (VALUES (o.account, o.settlement_id, o.owner_id), (n.account, n.settlement_id, n.owner_id))
        AS each (account, settlement_id, owner_id)'
  END;
  has_moved boolean := false;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE warehouse.transaction_kinds, warehouse.transaction_days, warehouse.transaction_settlements, warehouse.transaction_owners;
    RETURN NULL;
  END IF;
  EXECUTE format(warehouse.totals_statement(), CASE TG_OP
    WHEN 'INSERT' THEN warehouse.totals_lines(1, 'new_rows')
    WHEN 'DELETE' THEN warehouse.totals_lines(-1, 'old_rows')
    ELSE warehouse.totals_lines(1, 'new_rows') || ' UNION ALL ' || warehouse.totals_lines(-1, 'old_rows') END);
  IF TG_OP = 'INSERT' THEN RETURN NULL; END IF;
  DELETE FROM warehouse.transaction_kinds AS t USING (SELECT DISTINCT account, event_type, coalesce(event_name, '') AS event_name FROM old_rows) AS o
  WHERE t.account = o.account AND t.event_type = o.event_type AND t.event_name = o.event_name AND t.transaction_count = 0;
  DELETE FROM warehouse.transaction_days AS t USING (SELECT DISTINCT account, day FROM old_rows) AS o
  WHERE t.account = o.account AND t.day = o.day AND t.transaction_count = 0;
  EXECUTE 'SELECT EXISTS (' || moved || ')' INTO has_moved;
  IF NOT has_moved THEN RETURN NULL; END IF;
  EXECUTE format(warehouse.totals_times(), moved);
  EXECUTE format($owners$
    UPDATE warehouse.transaction_owners AS t SET first_transaction_at = s.first_at, last_transaction_at = s.last_at
    FROM (
      SELECT one.account, one.owner_id, one.org_id, one.customer_id IS NOT NULL AS is_customer, one.currency, one.fee_currency, one.event_type,
        coalesce(one.event_name, '') AS event_name, one.amount < 0 AS is_negative, min(one.created_at) AS first_at, max(one.created_at) AS last_at
      FROM (SELECT DISTINCT account, owner_id FROM (%s) AS moved) AS touched
      JOIN warehouse.transactions AS one ON one.account = touched.account AND one.owner_id = touched.owner_id
      GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ) AS s
    WHERE (t.account, t.owner_id, t.org_id, t.is_customer, t.currency, t.fee_currency, t.event_type, t.event_name, t.is_negative)
        = (s.account, s.owner_id, s.org_id, s.is_customer, s.currency, s.fee_currency, s.event_type, s.event_name, s.is_negative)
      AND (t.first_transaction_at, t.last_transaction_at) IS DISTINCT FROM (s.first_at, s.last_at)
    $owners$, moved);
  EXECUTE 'DELETE FROM warehouse.transaction_settlements AS t USING (' || moved || ') AS m
    WHERE t.account = m.account AND t.settlement_id = m.settlement_id AND t.transaction_count = 0';
  EXECUTE 'DELETE FROM warehouse.transaction_owners AS t USING (' || moved || ') AS m
    WHERE t.account = m.account AND t.owner_id = m.owner_id AND t.transaction_count = 0';
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
-- A time of settlement came, or was put right.
CREATE FUNCTION "warehouse"."total_settled"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $trigger$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE warehouse.transaction_settlements AS t
    SET settled_seen_at = greatest(t.settled_seen_at, s.seen_at), settled_witnessed_at = greatest(t.settled_witnessed_at, s.witnessed_at)
    FROM (
      SELECT one.account, one.settlement_id, one.currency, one.fee_currency, one.event_type, coalesce(one.event_name, '') AS event_name,
        one.amount < 0 AS is_negative, max(h.settled_seen_at) AS seen_at,
        max(h.settled_seen_at) FILTER (WHERE h.settled_seen_at > one.first_seen_at) AS witnessed_at
      FROM new_rows AS h
      JOIN warehouse.transactions AS one ON one.account = h.account AND one.transaction_id = h.transaction_id
      WHERE one.settlement_id IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7
    ) AS s
    WHERE (t.account, t.settlement_id, t.currency, t.fee_currency, t.event_type, t.event_name, t.is_negative)
        = (s.account, s.settlement_id, s.currency, s.fee_currency, s.event_type, s.event_name, s.is_negative)
      AND (greatest(t.settled_seen_at, s.seen_at), greatest(t.settled_witnessed_at, s.witnessed_at))
        IS DISTINCT FROM (t.settled_seen_at, t.settled_witnessed_at);
  ELSE
    EXECUTE format(warehouse.totals_times(), 'SELECT one.account, one.settlement_id FROM old_rows AS h
      JOIN warehouse.transactions AS one ON one.account = h.account AND one.transaction_id = h.transaction_id');
  END IF;
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
-- Makes all totals anew from the rows.
CREATE FUNCTION "warehouse"."make_totals"() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $make$
BEGIN
  TRUNCATE warehouse.transaction_kinds, warehouse.transaction_days, warehouse.transaction_settlements, warehouse.transaction_owners;
  EXECUTE format(warehouse.totals_statement(), warehouse.totals_lines(1, 'warehouse.transactions'));
  EXECUTE format(warehouse.totals_times(), 'SELECT account, settlement_id FROM warehouse.transaction_settlements');
END
$make$;
--> statement-breakpoint
CREATE TRIGGER "total_inserted" AFTER INSERT ON "warehouse"."transactions" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_transactions"();
--> statement-breakpoint
CREATE TRIGGER "total_updated" AFTER UPDATE ON "warehouse"."transactions" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_transactions"();
--> statement-breakpoint
CREATE TRIGGER "total_deleted" AFTER DELETE ON "warehouse"."transactions" REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_transactions"();
--> statement-breakpoint
CREATE TRIGGER "total_truncated" AFTER TRUNCATE ON "warehouse"."transactions" FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_transactions"();
--> statement-breakpoint
CREATE TRIGGER "total_inserted" AFTER INSERT ON "warehouse"."settlement_history" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_settled"();
--> statement-breakpoint
CREATE TRIGGER "total_updated" AFTER UPDATE ON "warehouse"."settlement_history" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_settled"();
--> statement-breakpoint
CREATE TRIGGER "total_deleted" AFTER DELETE ON "warehouse"."settlement_history" REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."total_settled"();
--> statement-breakpoint
-- Codes are compared in capitals, without white space around them.
UPDATE "warehouse"."transactions" SET currency = upper(btrim(currency)), fees_currency = upper(btrim(fees_currency))
WHERE currency <> upper(btrim(currency)) OR fees_currency <> upper(btrim(fees_currency));
--> statement-breakpoint
UPDATE "warehouse"."wallet_accounts" SET currency = upper(btrim(currency)) WHERE currency <> upper(btrim(currency));
--> statement-breakpoint
UPDATE "warehouse"."payouts" SET currency = upper(btrim(currency)) WHERE currency <> upper(btrim(currency));
--> statement-breakpoint
UPDATE "warehouse"."checkouts" SET currency = upper(btrim(currency)) WHERE currency <> upper(btrim(currency));
--> statement-breakpoint
SELECT "warehouse"."make_totals"();
--> statement-breakpoint
-- A rule that is not a seed as it was inserted was written by a person: it counts as confirmed, so that its money stays where it was put.
UPDATE "warehouse"."event_directions" SET confirmed_at = now(), confirmed_by = 'a person, before rules were confirmed'
WHERE (event_type, event_name, direction, coalesce(note, '')) NOT IN (VALUES
  ('PAYIN', '*', 1::smallint, 'assumed: money received'), ('CREDIT', '*', 1, 'assumed: upstream''s wallet movement'),
  ('PAYOUT', '*', -1, 'assumed: money sent'), ('REFUND', '*', -1, 'assumed: money given back'),
  ('CHARGEBACK', '*', -1, 'assumed: money taken back'), ('DEBIT', '*', -1, 'assumed: upstream''s wallet movement'),
  ('RESERVE', '*', 0, 'assumed: moves the available, not the actual balance'),
  ('RELEASE', '*', 0, 'assumed: moves the available, not the actual balance'));
