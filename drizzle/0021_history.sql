CREATE TABLE "warehouse"."settlement_states" (
	"account" text NOT NULL,
	"settlement_id" text NOT NULL,
	"changed_at" timestamp with time zone NOT NULL,
	"states" jsonb DEFAULT '[]' NOT NULL,
	CONSTRAINT "settlement_states_settlement_id_account_pk" PRIMARY KEY("settlement_id","account")
);
--> statement-breakpoint
CREATE TABLE "warehouse"."transaction_settlement_history" (
	"account" text NOT NULL,
	"transaction_id" text NOT NULL,
	"valid_from" timestamp with time zone NOT NULL,
	"valid_to" timestamp with time zone,
	"settlement_id" text,
	"is_settled" boolean NOT NULL,
	"run_id" uuid,
	CONSTRAINT "transaction_settlement_history_pk" PRIMARY KEY("account","transaction_id","valid_from")
);
--> statement-breakpoint
ALTER TABLE "warehouse"."wallet_readiness" ADD COLUMN "answered_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "warehouse"."wallet_readiness" ADD COLUMN "answered_run_id" uuid;--> statement-breakpoint
ALTER TABLE "warehouse"."wallet_readiness_history" ADD COLUMN "first_run_id" uuid;--> statement-breakpoint
ALTER TABLE "warehouse"."wallet_readiness_history" ADD COLUMN "first_raw" jsonb;--> statement-breakpoint
ALTER TABLE "warehouse"."wallet_readiness_history" ADD COLUMN "last_confirmed_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "warehouse"."wallet_readiness_history" ADD COLUMN "last_run_id" uuid;--> statement-breakpoint
CREATE INDEX "transaction_settlement_history_settlement" ON "warehouse"."transaction_settlement_history" USING btree ("settlement_id","account");--> statement-breakpoint
CREATE INDEX "transaction_settlement_history_run" ON "warehouse"."transaction_settlement_history" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "wallet_readiness_history_first_run" ON "warehouse"."wallet_readiness_history" USING btree ("first_run_id");--> statement-breakpoint
CREATE INDEX "wallet_readiness_history_last_run" ON "warehouse"."wallet_readiness_history" USING btree ("last_run_id");
--> statement-breakpoint
-- by hand: histories of settlements. A loader forbids hash joins, which compare the rows before with the rows after best.
ALTER FUNCTION "warehouse"."total_transactions"() SET enable_hashjoin = on;
--> statement-breakpoint
CREATE FUNCTION "warehouse"."keep_settlements"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on AS $trigger$
DECLARE
  touched text := CASE TG_OP
    WHEN 'INSERT' THEN 'SELECT account, settlement_id FROM new_rows'
    -- A rewritten row has the time of reading that it had: nothing changed at the source.
    ELSE 'SELECT each.account, each.settlement_id FROM old_rows AS o
      JOIN new_rows AS n ON n.account = o.account AND n.transaction_id = o.transaction_id AND n.read_at <> o.read_at
        AND (n.settlement_id, n.is_settled, n.event_type, n.event_name, n.amount, n.currency, n.fee_currency, n.fee_amount, n.tax_amount)
          IS DISTINCT FROM (o.settlement_id, o.is_settled, o.event_type, o.event_name, o.amount, o.currency, o.fee_currency, o.fee_amount, o.tax_amount)
      CROSS JOIN LATERAL (VALUES (o.account, o.settlement_id), (n.account, n.settlement_id)) AS each (account, settlement_id)'
  END;
BEGIN
  IF current_setting('paycombat.is_restoring', true) = 'on' THEN RETURN NULL; END IF;
  -- This trigger runs before the totals follow the rows: they still have the state of each settlement before this statement.
  EXECUTE format($states$
    INSERT INTO warehouse.settlement_states AS s (account, settlement_id, changed_at, states)
    SELECT touched.account, touched.settlement_id, clock_timestamp(), before.states
    FROM (SELECT DISTINCT account FROM new_rows) AS own
    CROSS JOIN LATERAL (
      SELECT r.finished_at FROM sync.stream_runs AS r
      WHERE r.account = own.account AND r.stream = 'transactions' AND r.status IN ('complete', 'complete_with_rejects')
        AND r.mode IN ('full', 'incremental')
      ORDER BY r.started_at DESC LIMIT 1
    ) AS complete
    JOIN (SELECT DISTINCT account, settlement_id FROM (%s) AS t WHERE settlement_id IS NOT NULL) AS touched ON touched.account = own.account
    CROSS JOIN LATERAL (
      SELECT CASE WHEN count(*) = 0 THEN '[]' ELSE jsonb_build_array(coalesce(
        jsonb_agg(DISTINCT jsonb_build_array(event_type, event_name, is_negative)::text) FILTER (WHERE settled_count < transaction_count), '[]')) END AS states
      FROM warehouse.transaction_settlements AS t
      WHERE t.account = touched.account AND t.settlement_id = touched.settlement_id AND t.transaction_count > 0
    ) AS before
    WHERE NOT EXISTS (
      SELECT FROM warehouse.settlement_states AS known
      WHERE known.account = touched.account AND known.settlement_id = touched.settlement_id AND known.changed_at >= complete.finished_at)
    ON CONFLICT (settlement_id, account) DO UPDATE SET changed_at = excluded.changed_at,
      states = CASE WHEN EXISTS (SELECT FROM jsonb_array_elements(s.states) AS had (state) WHERE had.state = excluded.states -> 0)
        THEN s.states ELSE s.states || excluded.states END
  $states$, touched);
  IF TG_OP = 'INSERT' THEN RETURN NULL; END IF;
  WITH changed AS MATERIALIZED (
    SELECT n.account, n.transaction_id, n.settlement_id, n.is_settled, n.read_at, n.run_id, o.first_seen_at,
      o.settlement_id AS old_settlement_id, o.is_settled AS was_settled, CASE WHEN o.read_at = o.first_seen_at THEN o.run_id END AS old_run_id,
      h.valid_from AS open_from, n.read_at > o.read_at AND n.read_at > coalesce(h.valid_from, o.first_seen_at) AS is_later
    FROM old_rows AS o JOIN new_rows AS n ON n.account = o.account AND n.transaction_id = o.transaction_id
    LEFT JOIN warehouse.transaction_settlement_history AS h
      ON h.account = n.account AND h.transaction_id = n.transaction_id AND h.valid_to IS NULL
    WHERE (n.settlement_id, n.is_settled) IS DISTINCT FROM (o.settlement_id, o.is_settled)
  ), ended AS (
    UPDATE warehouse.transaction_settlement_history AS h SET valid_to = c.read_at FROM changed AS c
    WHERE h.account = c.account AND h.transaction_id = c.transaction_id AND h.valid_from = c.open_from AND c.is_later
  ), corrected AS (
    UPDATE warehouse.transaction_settlement_history AS h SET settlement_id = c.settlement_id, is_settled = c.is_settled FROM changed AS c
    WHERE h.account = c.account AND h.transaction_id = c.transaction_id AND h.valid_from = c.open_from AND NOT c.is_later
  )
  INSERT INTO warehouse.transaction_settlement_history (account, transaction_id, valid_from, valid_to, settlement_id, is_settled, run_id)
  SELECT c.account, c.transaction_id, period.* FROM changed AS c
  CROSS JOIN LATERAL (
    SELECT c.first_seen_at, c.read_at, c.old_settlement_id, c.was_settled, c.old_run_id WHERE c.open_from IS NULL
    UNION ALL SELECT c.read_at, NULL, c.settlement_id, c.is_settled, c.run_id
  ) AS period
  WHERE c.is_later;
  RETURN NULL;
END
$trigger$;
--> statement-breakpoint
-- Their names come before those of the triggers that keep totals, and so do they.
CREATE TRIGGER "keep_inserted" AFTER INSERT ON "warehouse"."transactions" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."keep_settlements"();
--> statement-breakpoint
CREATE TRIGGER "keep_updated" AFTER UPDATE ON "warehouse"."transactions" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "warehouse"."keep_settlements"();
--> statement-breakpoint
-- The latest answer before checks that failed was not recorded: there was one when the state changed.
UPDATE "warehouse"."wallet_readiness" SET answered_at = changed_at WHERE raw IS NOT NULL AND check_error IS NOT NULL;
--> statement-breakpoint
-- Makes the totals of one account anew from its rows, and writes those that differ. The new ones are kept under another name until then.
CREATE FUNCTION "warehouse"."mend_totals"("of" text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $mend$
DECLARE
  anew text := "of" || E'\n';
  total regclass;
  columns text;
  keys text;
BEGIN
  EXECUTE format(warehouse.totals_statement(), warehouse.totals_lines(1, format('(SELECT %L::text AS account, transaction_id, owner_id, org_id,
      customer_id, day, created_at, settlement_id, is_settled, currency, fee_currency, event_type, event_name, amount, fee_amount, tax_amount,
      is_fee_unreadable, is_tax_unreadable, net_amount FROM warehouse.transactions WHERE account = %L) AS own', anew, "of")));
  FOREACH total IN ARRAY '{warehouse.transaction_kinds,warehouse.transaction_days,warehouse.transaction_settlements,warehouse.transaction_owners}'::regclass[] LOOP
    -- Times of settlement are of the history, and follow below.
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
      string_agg(format('t.%1$I = n.%1$I', a.attname), ' AND ' ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (i.indkey))
    INTO columns, keys
    FROM pg_attribute AS a JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = total AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('account', 'settled_seen_at', 'settled_witnessed_at');
    EXECUTE format('DELETE FROM %1$s AS t USING (
        SELECT %2$s FROM %1$s WHERE account = $1 EXCEPT SELECT %2$s FROM %1$s WHERE account = $2) AS n
      WHERE t.account = $1 AND %3$s', total, columns, keys) USING "of", anew;
    EXECUTE format('INSERT INTO %1$s (account, %2$s) SELECT $1, n.* FROM (
        SELECT %2$s FROM %1$s WHERE account = $2 EXCEPT SELECT %2$s FROM %1$s WHERE account = $1) AS n', total, columns) USING "of", anew;
    EXECUTE format('DELETE FROM %s WHERE account = $1', total) USING anew;
  END LOOP;
  EXECUTE format(warehouse.totals_times(), format('SELECT account, settlement_id FROM warehouse.transaction_settlements WHERE account = %L', "of"));
END
$mend$;
