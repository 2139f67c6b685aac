-- The verdict on an account's figures. A program passes facts that only it knows as settings of its transaction:
-- paycombat.accounts (names of the accounts to judge, with commas), paycombat.streams (the only streams to judge),
-- paycombat.max_age_seconds and paycombat.full_max_age_seconds. Without them every account that was ever synced is judged.
CREATE VIEW analytics.verdict AS
WITH RECURSIVE told AS MATERIALIZED (
  SELECT string_to_array(nullif(current_setting('paycombat.accounts', true), ''), ',') AS accounts,
    string_to_array(nullif(current_setting('paycombat.streams', true), ''), ',') AS streams,
    nullif(current_setting('paycombat.max_age_seconds', true), '')::double precision AS max_age_seconds,
    nullif(current_setting('paycombat.full_max_age_seconds', true), '')::double precision AS full_max_age_seconds
), synced AS (
  -- Reads the names of accounts one by one through the index, because the ledger grows with each run.
  (SELECT account FROM sync.stream_runs ORDER BY account LIMIT 1)
  UNION ALL SELECT following.account FROM synced CROSS JOIN LATERAL (
    SELECT account FROM sync.stream_runs WHERE account > synced.account ORDER BY account LIMIT 1
  ) AS following
), account AS MATERIALIZED (
  SELECT known.account,
    told.accounts IS NULL OR known.account = ANY (told.accounts) AS is_configured,
    synced.account IS NOT NULL
      OR EXISTS (SELECT FROM sync.leases AS lease WHERE lease.account = known.account AND lease.expires_at > now()) AS is_begun,
    count(*) OVER () = 1 AS is_alone
  FROM told
  CROSS JOIN LATERAL (SELECT account FROM synced UNION SELECT unnest(told.accounts)) AS known
  LEFT JOIN synced ON synced.account = known.account
), stream AS MATERIALIZED (
  -- Each stream has a table of its name with these two columns. No index of the ledger has collation "C", as names have.
  -- No figure but its own views rests on a stream that is not core.
  SELECT c.relname::text COLLATE "default" AS stream, c.relname IN ('customers', 'wallets', 'wallet_readiness', 'payouts', 'checkouts', 'transactions') AS is_core
  FROM told CROSS JOIN pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'warehouse'
  WHERE c.relkind IN ('r', 'p') AND (told.streams IS NULL OR c.relname::text = ANY (told.streams))
    AND (SELECT count(*) FROM pg_attribute AS a
      WHERE a.attrelid = c.oid AND a.attname IN ('raw', 'run_id') AND NOT a.attisdropped) = 2
), kind AS MATERIALIZED (
  SELECT account, count(DISTINCT (event_type, event_name)) FILTER (WHERE unmapped_count > 0) AS unmapped,
    count(DISTINCT (event_type, event_name)) FILTER (WHERE is_assumed) AS assumed,
    string_agg(DISTINCT event_type, ', ') FILTER (WHERE is_assumed) AS assumed_types
  FROM analytics.event_rule GROUP BY account
), state AS MATERIALIZED (
  SELECT account.account, stream.stream, stream.is_core,
    latest.status AS latest_status, latest.started_at AS latest_started_at, ended.status AS ended_status, ended.error, ended.left_over, CASE ended.mode WHEN 'lookup' THEN ended.unanswered END AS unanswered, ended.failed_lookups,
    ended.finished_at AS ended_at,
    lease.holder IS NOT NULL AS is_held,
    coalesce(ended.status = 'dead' OR (latest.status = 'running' AND lease.holder IS NULL), false) AS is_dead,
    complete.finished_at AS complete_at, complete.stale, CASE complete.mode WHEN 'lookup' THEN 0 ELSE complete.unanswered END AS contradicted,
    whole.finished_at AS full_at, pass.stale AS full_stale, pass.unanswered AS full_contradicted, whole.movement, whole.stated, whole.listed,
    whole.unconfirmed AS full_unconfirmed, whole.stored AS full_stored,
    bad.finished_at AS bad_since, well.finished_at AS well_since,
    coalesce(told.max_age_seconds, setting.max_age_seconds, 3600) AS max_age,
    greatest(coalesce(told.full_max_age_seconds, setting.full_max_age_seconds, 172800), told.max_age_seconds) AS full_max_age
  FROM told CROSS JOIN account CROSS JOIN stream
  LEFT JOIN warehouse.account_settings AS setting ON setting.account = account.account
  LEFT JOIN sync.leases AS lease
    ON lease.account = account.account AND lease.stream = stream.stream AND lease.expires_at > now()
  -- A replay or a rebuild uses stored records, so it makes nothing fresher.
  LEFT JOIN LATERAL (
    SELECT run.status, run.started_at FROM sync.stream_runs AS run WHERE run.account = account.account AND run.stream = stream.stream AND run.mode NOT IN ('replay', 'rebuild') ORDER BY run.started_at DESC LIMIT 1
  ) AS latest ON true LEFT JOIN LATERAL (
    SELECT run.* FROM sync.stream_runs AS run WHERE run.account = account.account AND run.stream = stream.stream AND run.mode NOT IN ('replay', 'rebuild') AND run.status <> 'running' ORDER BY run.started_at DESC LIMIT 1
  ) AS ended ON true LEFT JOIN LATERAL (
    SELECT run.* FROM sync.stream_runs AS run WHERE run.account = account.account AND run.stream = stream.stream AND run.mode NOT IN ('replay', 'rebuild') AND run.status IN ('complete', 'complete_with_rejects') ORDER BY run.started_at DESC LIMIT 1
  ) AS complete ON true LEFT JOIN LATERAL (
    SELECT run.* FROM sync.stream_runs AS run WHERE run.account = account.account AND run.stream = stream.stream AND run.mode = 'full' AND run.status IN ('complete', 'complete_with_rejects') ORDER BY run.started_at DESC LIMIT 1
  ) AS whole ON true LEFT JOIN LATERAL (
    -- An interrupted and resumed pass consists of several runs. It is not resumed more than a day after it began.
    SELECT sum(run.stale) AS stale, sum(run.unanswered) AS unanswered FROM sync.stream_runs AS run
    WHERE run.account = account.account AND run.stream = stream.stream
      AND (run.run_id = whole.run_id OR run.pass_id = whole.pass_id)
      AND run.started_at BETWEEN whole.started_at - interval '25 hours' AND whole.started_at
  ) AS pass ON true LEFT JOIN LATERAL (
    SELECT run.finished_at FROM sync.stream_runs AS run WHERE run.account = account.account AND run.stream = stream.stream AND run.mode NOT IN ('replay', 'rebuild') AND run.status IN ('failed', 'dead') AND run.started_at > coalesce(complete.started_at, '-infinity') ORDER BY run.started_at LIMIT 1
  ) AS bad ON true LEFT JOIN LATERAL (
    SELECT run.finished_at FROM sync.stream_runs AS run WHERE run.account = account.account AND run.stream = stream.stream AND run.mode NOT IN ('replay', 'rebuild') AND run.status IN ('complete', 'complete_with_rejects')
      AND run.started_at > coalesce((
        SELECT worse.started_at FROM sync.stream_runs AS worse
        WHERE worse.account = account.account AND worse.stream = stream.stream AND worse.mode NOT IN ('replay', 'rebuild') AND worse.status IN ('failed', 'dead')
        ORDER BY worse.started_at DESC LIMIT 1), '-infinity') ORDER BY run.started_at LIMIT 1
  ) AS well ON true
  WHERE account.is_configured AND account.is_begun
), measured AS (
  SELECT state.*, ages.age, ages.full_age, is_ahead,
    CASE WHEN complete_at IS NULL THEN 'There are no complete figures yet.' WHEN is_ahead THEN 'How old the figures are is not known.'
      ELSE 'The figures are ' || ages.age || ' old.' END AS figures,
    CASE
      WHEN ended_status = 'failed' THEN 'failed'
      WHEN is_dead THEN 'dead'
      WHEN complete_at IS NULL THEN 'never'
      WHEN is_ahead OR now() - complete_at > make_interval(secs => max_age) THEN 'stale'
      WHEN now() - full_at > make_interval(secs => full_max_age) THEN 'full_stale'
    END AS problem
  FROM state CROSS JOIN LATERAL (SELECT complete_at > now() + interval '1 minute' AS is_ahead) AS clock
  CROSS JOIN LATERAL (
    SELECT max(words) FILTER (WHERE NOT is_full) AS age, max(words) FILTER (WHERE is_full) AS full_age FROM (
      SELECT is_full, CASE WHEN old >= 172800 THEN floor(old / 86400) || ' d' WHEN old >= 7200 THEN floor(old / 3600) || ' h'
        WHEN old >= 60 THEN floor(old / 60) || ' min' ELSE floor(greatest(old, 0)) || ' s' END AS words
      FROM (VALUES (false, extract(epoch FROM now() - complete_at)), (true, extract(epoch FROM now() - full_at))) AS each (is_full, old)
    ) AS aged
  ) AS ages
), limited AS (
  SELECT measured.*,
    concat_ws(' ', nullif(floor(max_age / 86400), 0) || 'd', nullif(floor(max_age::numeric % 86400 / 3600), 0) || 'h',
      nullif(floor(max_age::numeric % 3600 / 60), 0) || 'm', nullif(floor(max_age::numeric % 60), 0) || 's') AS max_age_words,
    concat_ws(' ', nullif(floor(full_max_age / 86400), 0) || 'd', nullif(floor(full_max_age::numeric % 86400 / 3600), 0) || 'h',
      nullif(floor(full_max_age::numeric % 3600 / 60), 0) || 'm', nullif(floor(full_max_age::numeric % 60), 0) || 's') AS full_max_age_words
  FROM measured
), unread AS MATERIALIZED (
  SELECT state.account, state.stream, open.*, field.unreadable_since, judged.is_figure,
    CASE WHEN field.unreadable_since IS NOT NULL THEN field.level WHEN judged.is_figure THEN 'attention' ELSE 'good' END AS level
  FROM state CROSS JOIN LATERAL (
    SELECT regexp_replace(reject.field, '\.\d+(?=\.|$)', '', 'g') AS field,
      count(DISTINCT reject.record_id) AS record_count, count(*) AS value_count, min(reject.first_seen_at) AS since
    FROM sync.rejects AS reject
    WHERE reject.account = state.account AND reject.stream = state.stream AND reject.unlisted_at IS NULL AND reject.kind = 'field'
    GROUP BY 1
  ) AS open
  LEFT JOIN sync.fields AS field ON field.account = state.account AND field.stream = state.stream AND field.field = open.field
  -- Figures may rest on a field that no pass has judged yet.
  CROSS JOIN LATERAL (SELECT coalesce(field.level, 'bad') = 'bad' AS is_figure) AS judged
), finding AS (
  SELECT account.account, NULL::text AS stream, 'good' AS level, 'retired' AS kind, 'not configured any more' AS brief,
    'is not configured any more: its figures stand as they were last synced.' AS text, NULL::timestamptz AS since
  FROM account WHERE NOT account.is_configured
  UNION ALL SELECT account.account, NULL, 'bad', 'never', 'never read', 'nothing was synced yet: run `paycombat-sync sync' || CASE WHEN account.is_alone THEN '' ELSE ' --account ' || account.account END
      || '`.', NULL
  FROM account WHERE account.is_configured AND NOT account.is_begun
  UNION ALL SELECT account, stream, CASE WHEN problem = 'never' AND latest_status IS NULL AND NOT is_core THEN 'good' ELSE 'bad' END, problem,
    CASE problem WHEN 'failed' THEN 'failed' WHEN 'dead' THEN 'broken off'
      WHEN 'never' THEN CASE WHEN is_held THEN 'first pass under way' ELSE 'never read' END
      WHEN 'stale' THEN CASE WHEN is_ahead THEN 'of unknown age' ELSE 'too old' END ELSE 'not read whole for too long' END,
    CASE problem
      WHEN 'failed' THEN 'failed: ' || regexp_replace(coalesce(error, 'no reason was recorded'), '([^.!?])$', '\1.') || ' ' || figures
      WHEN 'dead' THEN 'the process of the latest run ended without recording an outcome; its commits stay, and the next run continues from there. ' || figures
      WHEN 'never' THEN CASE
        WHEN is_held THEN 'its first pass is under way: wait for it.'
        WHEN latest_status IS NULL THEN 'was never read: run `paycombat-sync sync`, or see that `serve` runs.'
        ELSE 'was never read to its end: run `paycombat-sync sync`, or see that `serve` runs.' END
      WHEN 'stale' THEN CASE WHEN is_ahead THEN 'was read to its end at a time that is still to come: the clock of Postgres was set back since' ELSE 'was read to its end ' || age || ' ago, which is more than ' || max_age_words END || ': '
        || CASE WHEN is_held THEN 'a run is under way, wait for it.'
          ELSE 'see that `serve` or your timer runs, or run `paycombat-sync sync`.' END
      ELSE 'was read whole ' || full_age || ' ago, which is more than ' || full_max_age_words
        || ': removals and late changes may be missing; run `paycombat-sync sync --full`.' END,
    CASE problem WHEN 'failed' THEN coalesce(bad_since, ended_at) WHEN 'dead' THEN coalesce(bad_since, latest_started_at)
      WHEN 'stale' THEN CASE WHEN NOT is_ahead THEN complete_at + make_interval(secs => max_age) END
      WHEN 'full_stale' THEN full_at + make_interval(secs => full_max_age) END
  FROM limited WHERE problem IS NOT NULL
  UNION ALL SELECT state.account, state.stream, 'good', 'not_available', 'not available', 'is not available to this token: ' || away.reason || '.'
      || coalesce(' Empty, or without its part, for that reason: ' || nullif(array_to_string(away.views, ', '), '') || '.', '') || ' The next full pass looks for it again.', away.since
  FROM state JOIN sync.unavailable AS away USING (account, stream)
  UNION ALL SELECT state.account, state.stream, 'attention', 'rejects', open.count || CASE open.count WHEN 1 THEN ' reject' ELSE ' rejects' END,
    open.count || CASE open.count WHEN 1 THEN ' record could not become a row: figures leave it out, or count the version that was stored before'
      ELSE ' records could not become a row: figures leave them out, or count the versions that were stored before' END
      || '. See `paycombat-sync rejects list`.', open.since
  FROM state CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(reject.first_seen_at) AS since FROM sync.rejects AS reject
    WHERE reject.account = state.account AND reject.stream = state.stream AND reject.unlisted_at IS NULL AND reject.kind IN ('record', 'merchant')
  ) AS open WHERE open.count > 0
  UNION ALL SELECT state.account, state.stream, 'attention', 'items', open.count || CASE open.count WHEN 1 THEN ' unreadable item' ELSE ' unreadable items' END,
    open.count || CASE open.count WHEN 1 THEN ' item in a record, such as an account of a wallet, could not be read and is'
      ELSE ' items in records, such as accounts of wallets, could not be read and are' END
      || ' in no figure: see `paycombat-sync rejects list --kind item`.', open.since
  FROM state CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(reject.first_seen_at) AS since FROM sync.rejects AS reject
    WHERE reject.account = state.account AND reject.stream = state.stream AND reject.unlisted_at IS NULL AND reject.kind = 'item'
  ) AS open WHERE open.count > 0
  UNION ALL SELECT state.account, state.stream, 'attention', 'check_failed',
    failed.count || CASE failed.count WHEN 1 THEN ' failed check' ELSE ' failed checks' END,
    failed.count || CASE failed.count WHEN 1 THEN ' customer''s latest check failed: its readiness is'
      ELSE ' customers'' latest check failed: their readiness is' END
      || ' the last answer, or unknown. See check_error in warehouse.wallet_readiness.', failed.since
  FROM state CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(readiness.checked_at) AS since
    FROM warehouse.wallet_readiness AS readiness JOIN warehouse.customers AS customer USING (account, customer_id)
    WHERE readiness.account = state.account AND readiness.check_error IS NOT NULL AND customer.removed_at IS NULL
  ) AS failed
  WHERE state.stream = 'wallet_readiness' AND failed.count > 0
  UNION ALL SELECT account, stream, 'attention', 'check_failed', failed_lookups || ' failed look-up' || CASE failed_lookups WHEN 1 THEN '' ELSE 's' END,
    'the last answer stays, or nothing is known, for ' || failed_lookups || ' failed look-up' || CASE failed_lookups WHEN 1 THEN '' ELSE 's' END || ': see its note in `paycombat-sync status`.', ended_at
  FROM state WHERE stream <> 'wallet_readiness' AND failed_lookups > 0
  UNION ALL SELECT field.account, field.stream, field.level, 'missing_field', 'no ' || field.field,
    'no new or changed record carries `' || field.field || '` any more, or it is empty in all of them, and earlier ones had a value in it: '
      || CASE field.level WHEN 'bad' THEN 'figures that rest on it are wrong' ELSE 'it is unknown' END
      || ' for all records read since. `paycombat-sync doctor` shows if the API renamed it.', field.missing_since
  FROM sync.fields AS field JOIN state USING (account, stream) WHERE field.missing_since IS NOT NULL
  UNION ALL SELECT account, stream, level, 'unreadable_field', 'unreadable ' || field,
    '`' || field || '` of ' || record_count || CASE record_count WHEN 1 THEN ' record' ELSE ' records' END
      || ' could not be read and is null there'
      || CASE WHEN unreadable_since IS NULL THEN '' ELSE ', which is more than PAYCOMBAT_REJECTS_MAX allows' END
      || CASE WHEN is_figure THEN ': figures that rest on it are not known' ELSE '' END
      || '. See `paycombat-sync rejects list --kind field`.',
    coalesce(unreadable_since, since)
  FROM unread WHERE level <> 'good'
  UNION ALL SELECT account, stream, 'attention', 'older_versions', 'older versions listed',
    greatest(stale, full_stale) || CASE greatest(stale, full_stale) WHEN 1 THEN ' record was listed in an older version than is stored: it was'
      ELSE ' records were listed in an older version than is stored: they were' END || ' left as stored.',
    CASE WHEN stale > 0 THEN complete_at ELSE full_at END
  FROM state WHERE stale > 0 OR full_stale > 0
  UNION ALL SELECT account, stream, 'attention', 'contradicted', 'listed, and unknown by id',
    greatest(contradicted, full_contradicted) || CASE greatest(contradicted, full_contradicted)
        WHEN 1 THEN ' record is listed, and its by-id endpoint does not know it: it was'
        ELSE ' records are listed, and their by-id endpoint does not know them: they were' END
      || ' left as stored. Ask PayCombat which of the two is right.', CASE WHEN contradicted > 0 THEN complete_at ELSE full_at END
  FROM state WHERE contradicted > 0 OR full_contradicted > 0
  UNION ALL SELECT account, stream, 'attention', 'fewer_read', 'fewer read than stated',
    'the API states ' || stated || CASE stated WHEN 1 THEN ' record' ELSE ' records' END || ', and its pages held ' || listed
      || ': a total that counts others, or records that moved while the list was read.', full_at
  FROM state WHERE listed < stated
  UNION ALL SELECT account, stream, CASE WHEN full_unconfirmed * 2 >= full_stored THEN 'bad' ELSE 'attention' END, 'unconfirmed', 'removals not proven',
    full_unconfirmed || CASE full_unconfirmed WHEN 1 THEN ' record is' ELSE ' records are' END
      || ' no longer listed, and there is no proof of a removal yet.'
      -- Beyond this share the list alone is not believed: see removal.ts.
      || CASE WHEN full_unconfirmed * 3 > full_stored THEN ' They are a large part of the stored records: the list may be cut off, or its ids may have changed,'
        || ' so that figures include removed records, or count records twice. If PayCombat removed them, run `paycombat-sync sync --confirm-removals`.' ELSE '' END, full_at
  FROM state WHERE full_unconfirmed > 0
  UNION ALL SELECT state.account, state.stream, 'attention', doubt.kind,
    CASE doubt.kind WHEN 'emptied' THEN 'lists that became empty' ELSE 'items listed twice' END, CASE doubt.kind WHEN 'emptied' THEN doubt.count || CASE doubt.count WHEN 1 THEN ' record lists' ELSE ' records list' END
        || ' no item any more, and did before: the items listed last stay in ' || doubt.child
        || '. If PayCombat removed all of it, run `paycombat-sync sync --confirm-removals`.'
      ELSE doubt.count || CASE doubt.count WHEN 1 THEN ' item is' ELSE ' items are' END || ' listed by several records, and'
        || CASE doubt.count WHEN 1 THEN ' counts' ELSE ' count' END || ' in ' || doubt.child || ' for the record that was read last.' END, doubt.since
  FROM state CROSS JOIN LATERAL (
    SELECT one.kind, one.child, min(one.since) AS since, CASE one.kind WHEN 'emptied' THEN count(*) ELSE count(DISTINCT one.item_id) END AS count
    FROM sync.item_doubts AS one WHERE one.account = state.account AND one.stream = state.stream GROUP BY 1, 2) AS doubt
  UNION ALL SELECT state.account, state.stream, 'attention', 'unmapped', 'unknown direction',
    kind.unmapped || CASE kind.unmapped WHEN 1 THEN ' kind of transaction (by type and name) has'
      ELSE ' kinds of transactions (by type and name) have' END || ' no known direction and ' || CASE kind.unmapped WHEN 1 THEN 'counts' ELSE 'count' END || ' in no settlement and no balance: run `paycombat-sync directions list`, and `directions set` for each.', NULL
  FROM state JOIN kind USING (account) WHERE state.stream = 'transactions' AND kind.unmapped > 0
  UNION ALL SELECT state.account, state.stream, 'good', 'assumed', 'assumed directions',
    kind.assumed || CASE kind.assumed WHEN 1 THEN ' kind of transaction (by type and name) counts' ELSE ' kinds of transactions (by type and name) count' END
      || ' by rules that are assumed (' || kind.assumed_types || '): check them with `paycombat-sync directions list`, and confirm them with `paycombat-sync directions confirm`.', NULL
  FROM state JOIN kind USING (account) WHERE state.stream = 'transactions' AND kind.assumed > 0
  UNION ALL SELECT state.account, state.stream, 'attention', 'ledger_check', failing.name || ' differs',
    'equation ' || failing.name || ' differs in ' || failing.amounts || ' (see ledger_check, checked at '
      || to_char(failing.checked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC). ' || failing.explanation, NULL
  FROM state CROSS JOIN LATERAL (
    SELECT one."check" AS name, string_agg(one.currency || coalesce(' by ' || trim_scale(nullif(one.difference, 0)), ''), ', ' ORDER BY one.currency) AS amounts, min(one.checked_at) AS checked_at,
      CASE WHEN count(*) > 1 THEN (array_agg(one.currency ORDER BY one.differs_count DESC, one.currency))[1] || ': ' ELSE '' END
        || (array_agg(one.explanation ORDER BY one.differs_count DESC, one.currency))[1] AS explanation
    FROM analytics.ledger_check AS one
    WHERE one.account = state.account AND one.state = 'differs'
      AND state.stream = CASE one."check" WHEN 'wallet_balance' THEN 'wallets' WHEN 'wallet_delta' THEN 'wallets' WHEN 'reserve' THEN 'wallets'
        WHEN 'payouts' THEN 'payouts' ELSE 'transactions' END
    GROUP BY one."check"
  ) AS failing
  UNION ALL SELECT account, stream, 'attention', 'outdated_check', 'equations not computed',
    'figures changed after the equations of ledger_check were computed, and no run is under way: `paycombat-sync sync` computes them.', changed.since
  FROM state CROSS JOIN LATERAL (SELECT min(changed_at) AS since FROM sync.figure_changes AS mark WHERE mark.account = state.account) AS changed
  WHERE stream = 'transactions' AND since < now() - interval '1 minute' AND NOT EXISTS (SELECT FROM sync.leases AS lease WHERE lease.account = state.account AND lease.expires_at > now())
  UNION ALL SELECT account, stream, 'good', 'field_rejects', sum(value_count) || ' unreadable values',
    sum(value_count) || CASE sum(value_count) WHEN 1 THEN ' value of an optional field could not be read and is null'
      ELSE ' values of optional fields could not be read and are null' END || ': see `paycombat-sync rejects list`.', min(since)
  FROM unread WHERE level = 'good' GROUP BY account, stream
  -- A quiet list has no reason to repeat records. Each repetition may replace a record that is never read.
  UNION ALL SELECT account, stream, CASE WHEN repeats.is_steady THEN 'attention' ELSE 'good' END, 'movement',
    CASE WHEN repeats.is_steady THEN 'records listed twice' ELSE 'list moved' END, 'the list moved while it was read, which proves no removal. ' || movement || CASE WHEN repeats.is_steady
      THEN ' The same happened in three passes in a row, although hardly anything changed: other records may never be listed.' ELSE '' END, full_at
  FROM state CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE is_repeat) = 3 AND count(*) FILTER (WHERE is_quiet) >= 2 AS is_steady FROM (SELECT run.movement LIKE '%came more than once.' AS is_repeat, run.inserted + run.updated = 0 AS is_quiet
      FROM sync.stream_runs AS run WHERE run.account = state.account AND run.stream = state.stream AND run.mode = 'full' AND run.status IN ('complete', 'complete_with_rejects') ORDER BY run.started_at DESC LIMIT 3) AS latest) AS repeats
  WHERE movement IS NOT NULL AND NOT coalesce(listed < stated, false)
  UNION ALL SELECT account, stream, 'good', 'left_over', left_over || ' left over', left_over || ' left over: they come first in the next run.', ended_at FROM state WHERE left_over > 0
  UNION ALL SELECT account, stream, 'good', 'unanswered', unanswered || ' unanswered', unanswered || ' unanswered: they are asked again in the next run.', ended_at FROM state WHERE unanswered > 0
), judged AS (
  SELECT account.account, account.is_configured,
    coalesce((array_agg(finding.level ORDER BY array_position('{bad,attention,good}', finding.level)) FILTER (WHERE finding.level IS NOT NULL))[1], 'good') AS level,
    coalesce(bool_and(finding.kind = 'never') FILTER (WHERE finding.level = 'bad'), false) AS is_unread,
    coalesce(bool_or(finding.brief = 'first pass under way'), false) AS is_first_pass,
    account.is_begun,
    coalesce(jsonb_agg(jsonb_build_object('level', finding.level, 'stream', finding.stream, 'kind', finding.kind, 'text', finding.text)
      ORDER BY array_position('{bad,attention,good}', finding.level), finding.stream, finding.kind, finding.text)
      FILTER (WHERE finding.level IS NOT NULL), '[]') AS findings,
    (SELECT max(state.well_since) FROM state WHERE state.account = account.account) AS well_since
  FROM account LEFT JOIN finding ON finding.account = account.account
  GROUP BY account.account, account.is_configured, account.is_begun
)
SELECT
  judged.account,
  judged.level,
  CASE
    WHEN NOT judged.is_configured THEN 'The account is not configured any more: its figures stand as they were last synced.'
    WHEN judged.level = 'good' THEN 'The figures can be trusted.'
    WHEN judged.level = 'attention' THEN 'The figures can be trusted, with exceptions: ' || grave.briefs || '.'
    WHEN judged.is_unread AND judged.is_first_pass THEN 'The figures are not complete yet: the first pass is under way.'
    WHEN NOT judged.is_begun THEN 'Nothing was synced yet: no stream was ever read.'
    ELSE 'The figures cannot be trusted: ' || grave.briefs || '.'
  END AS sentence,
  judged.findings,
  CASE WHEN judged.level = 'good' THEN judged.well_since ELSE grave.since END AS since
FROM judged
CROSS JOIN LATERAL (
  SELECT min(finding.since) AS since,
    string_agg(finding.stream || ' (' || finding.brief || ')', ', ' ORDER BY finding.stream, finding.kind, finding.text) AS briefs
  FROM finding WHERE finding.account = judged.account AND finding.level = judged.level
) AS grave;

COMMENT ON VIEW analytics.verdict IS 'The verdict on the figures of an account: can they be trusted now? status, the status page, /readyz, the metrics and the report print the same judgement in the same words.';
COMMENT ON COLUMN analytics.verdict.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.verdict.level IS 'good: the figures can be trusted; attention: they can, with exceptions that the findings name; bad: they cannot.';
COMMENT ON COLUMN analytics.verdict.sentence IS 'The judgement in one sentence.';
COMMENT ON COLUMN analytics.verdict.findings IS 'The findings, the gravest first: an array of objects with level (good: counted beside the figures, and no exception), stream (null: the account), kind and text. Empty if there are none.';
COMMENT ON COLUMN analytics.verdict.since IS 'Start of the present level, if the ledger shows it; else null.';
