CREATE VIEW analytics.freshness AS
-- A replay or a rebuild uses stored records, so it makes nothing fresher.
WITH RECURSIVE pair AS (
  -- Reads the names of streams one by one through the index, because the ledger grows with each run.
  (SELECT account, stream FROM sync.stream_runs ORDER BY account, stream LIMIT 1)
  UNION ALL
  SELECT following.* FROM pair CROSS JOIN LATERAL (
    SELECT run.account, run.stream FROM sync.stream_runs run
    WHERE (run.account, run.stream) > (pair.account, pair.stream) ORDER BY run.account, run.stream LIMIT 1
  ) following
), read_run AS NOT MATERIALIZED (
  SELECT * FROM sync.stream_runs WHERE mode NOT IN ('replay', 'rebuild')
), stream AS (
  SELECT account, stream FROM pair
)
SELECT
  stream.account,
  stream.stream,
  complete.finished_at AS last_complete_at,
  latest.status AS last_run_status,
  now() - complete.finished_at AS lag,
  latest.started_at AS last_run_started_at,
  ended.status AS last_ended_status,
  ended.error AS last_error,
  whole.finished_at AS last_full_at,
  coalesce(ended.left_over, 0) AS left_over,
  (SELECT count(*) FROM sync.rejects reject
    WHERE reject.account = stream.account AND reject.stream = stream.stream AND reject.unlisted_at IS NULL
      AND reject.kind <> 'field') AS open_rejects,
  coalesce(ended.unanswered, 0) AS unanswered,
  make_interval(secs => coalesce(setting.max_age_seconds, 3600)) AS max_age,
  make_interval(secs => coalesce(setting.full_max_age_seconds, 172800)) AS full_max_age,
  coalesce(setting.report_timezone, 'UTC') AS time_zone
FROM stream
LEFT JOIN warehouse.account_settings setting ON setting.account = stream.account
CROSS JOIN LATERAL (
  SELECT run.status, run.started_at FROM read_run run
  WHERE run.account = stream.account AND run.stream = stream.stream
  ORDER BY run.started_at DESC LIMIT 1
) latest
LEFT JOIN LATERAL (
  SELECT run.finished_at FROM read_run run
  WHERE run.account = stream.account AND run.stream = stream.stream
    AND run.status IN ('complete', 'complete_with_rejects')
  ORDER BY run.started_at DESC LIMIT 1
) complete ON true
LEFT JOIN LATERAL (
  SELECT run.status, run.error, run.left_over, run.unanswered FROM read_run run
  WHERE run.account = stream.account AND run.stream = stream.stream AND run.status <> 'running'
  ORDER BY run.started_at DESC LIMIT 1
) ended ON true
LEFT JOIN LATERAL (
  SELECT run.finished_at FROM read_run run
  WHERE run.account = stream.account AND run.stream = stream.stream AND run.mode <> 'incremental'
    AND run.status IN ('complete', 'complete_with_rejects')
  ORDER BY run.started_at DESC LIMIT 1
) whole ON true;

COMMENT ON VIEW analytics.freshness IS 'Age of the warehouse, per stream. A stream that never ran does not appear.';
COMMENT ON COLUMN analytics.freshness.account IS 'Merchant account, as configured.';
COMMENT ON COLUMN analytics.freshness.stream IS 'Name of the stream, such as customers or payouts.';
COMMENT ON COLUMN analytics.freshness.last_complete_at IS 'End of the latest complete run of the stream; null if there was none.';
COMMENT ON COLUMN analytics.freshness.last_run_status IS 'Outcome of the latest run: running, complete, complete_with_rejects, failed, interrupted or dead.';
COMMENT ON COLUMN analytics.freshness.lag IS 'Time since last_complete_at.';
COMMENT ON COLUMN analytics.freshness.last_run_started_at IS 'Start of the latest run, whatever its outcome.';
COMMENT ON COLUMN analytics.freshness.last_ended_status IS 'Outcome of the latest run that has ended; last_run_status may be that of a run under way.';
COMMENT ON COLUMN analytics.freshness.last_error IS 'Error of that run; null if there was none.';
COMMENT ON COLUMN analytics.freshness.last_full_at IS 'End of the latest complete run that read the whole list; null if there was none. Removals and late changes are known up to then.';
COMMENT ON COLUMN analytics.freshness.left_over IS 'Records that this run left for the next one, within its bounds.';
COMMENT ON COLUMN analytics.freshness.open_rejects IS 'Records that could not become rows, and unreadable items in records, which the list still shows. Figures leave them out, or use the version that was stored before.';
COMMENT ON COLUMN analytics.freshness.unanswered IS 'Look-ups of that run without an answer; they are repeated.';
COMMENT ON COLUMN analytics.freshness.max_age IS 'Age of the latest complete run beyond which the figures are stale.';
COMMENT ON COLUMN analytics.freshness.full_max_age IS 'Age of the latest complete pass over the whole list beyond which removals and late changes may be missing.';
COMMENT ON COLUMN analytics.freshness.time_zone IS 'The account''s reporting time zone, in which every day of the other views is reckoned.';
