-- The one place that decides what a kind of transaction does to a balance. Every other view reads the answer here.
CREATE VIEW analytics.event_direction AS
SELECT
  decided.event_type,
  decided.event_name,
  decided.is_negative,
  CASE WHEN decided.is_held_back THEN 'none' ELSE decided.rule END AS rule,
  (CASE
    WHEN decided.is_held_back OR decided.rule = 'none' THEN NULL
    WHEN decided.rule = 'no_movement' OR decided.direction = 0 THEN 0
    WHEN decided.amount_sign = 'as_sent' THEN CASE WHEN decided.is_negative THEN -1 ELSE 1 END
    ELSE decided.direction
  END)::smallint AS direction,
  decided.amount_sign,
  decided.confirmed_at,
  NOT decided.is_held_back AND decided.rule <> 'none' AND decided.confirmed_at IS NULL AS is_assumed
FROM (
  SELECT
    kind.event_type,
    kind.event_name,
    kind.is_negative,
    answer.rule,
    rule.direction,
    rule.amount_sign,
    rule.confirmed_at,
    -- The sign contradicts the rule, and no rule for this type was confirmed.
    kind.is_negative AND answer.rule NOT IN ('none', 'no_movement') AND rule.direction = 1 AND rule.amount_sign = 'absolute'
      AND coalesce(exact.confirmed_at, wide.confirmed_at) IS NULL AS is_held_back
  FROM (SELECT DISTINCT event_type, event_name, is_negative FROM sync.event_kinds) AS kind
  LEFT JOIN warehouse.event_directions AS exact
    ON exact.event_type = kind.event_type AND exact.event_name = kind.event_name AND exact.event_name <> '*'
  LEFT JOIN warehouse.event_directions AS wide ON wide.event_type = kind.event_type AND wide.event_name = '*'
  CROSS JOIN LATERAL (
    SELECT
      string_to_array(upper(btrim(kind.event_name)), '_') AS words,
      string_to_array(upper(btrim(kind.event_type)), '_') AS type_words
  ) AS name
  CROSS JOIN LATERAL (
    SELECT
      coalesce(name.words[array_length(name.words, 1)], '') AS last_word,
      name.words && '{PENDING,PROCESSING,AWAITING,RETURNED,REVERSED,REVERSAL}'
        OR 'REFUND' = ANY (name.words) AND NOT 'REFUND' = ANY (name.type_words)
        OR 'CHARGEBACK' = ANY (name.words) AND NOT 'CHARGEBACK' = ANY (name.type_words) AS needs_exact
  ) AS word
  CROSS JOIN LATERAL (
    SELECT CASE
      WHEN exact.direction IS NOT NULL THEN 'exact'
      WHEN wide.direction IS NULL THEN 'none'
      WHEN word.last_word = ANY ('{FAILED,CANCELLED,CANCELED,EXPIRED,DECLINED,REJECTED}') THEN 'no_movement'
      WHEN word.needs_exact THEN 'none'
      WHEN wide.confirmed_at IS NOT NULL THEN 'confirmed'
      WHEN btrim(kind.event_name) = '' OR name.words = name.type_words THEN 'seed'
      WHEN word.last_word = ANY ('{COMPLETED,SUCCESS,SUCCESSFUL,SUCCEEDED,SETTLED,PAID,RECEIVED}') THEN 'completion'
      ELSE 'none'
    END AS rule
  ) AS answer
  CROSS JOIN LATERAL (
    SELECT
      CASE answer.rule WHEN 'exact' THEN exact.direction ELSE wide.direction END AS direction,
      CASE answer.rule WHEN 'exact' THEN exact.amount_sign ELSE coalesce(wide.amount_sign, 'absolute') END AS amount_sign,
      CASE answer.rule WHEN 'exact' THEN exact.confirmed_at ELSE wide.confirmed_at END AS confirmed_at
  ) AS rule
) AS decided
-- Keeps Postgres from deciding again for each row that is joined to its kind.
OFFSET 0;

COMMENT ON VIEW analytics.event_direction IS
  'The effect of each kind of transaction on a balance, and the rule that decides it. A kind is a type, a name and the sign of the amount. PayCombat documents none of this: an unconfirmed rule is assumed.';
COMMENT ON COLUMN analytics.event_direction.event_type IS 'Kind of event, as sent.';
COMMENT ON COLUMN analytics.event_direction.event_name IS 'Name of the event, as sent; empty where none is sent.';
COMMENT ON COLUMN analytics.event_direction.is_negative IS 'True for amounts that are sent with a minus.';
COMMENT ON COLUMN analytics.event_direction.rule IS
  'exact: a rule for this type and name. no_movement: the name says that it failed, was cancelled, expired, declined or rejected. confirmed: a confirmed rule for the type. seed: an assumed rule for the type, and the name says no more than the type. completion: an assumed rule for the type, and the name says that it is completed. none: no rule answers.';
COMMENT ON COLUMN analytics.event_direction.direction IS
  '+1 money in, -1 money out, 0 neither; null where no rule answers: then it is left out of every sum, and counted.';
COMMENT ON COLUMN analytics.event_direction.amount_sign IS
  'absolute: a movement is direction x |amount|. as_sent: it is the amount with the sign that was sent, and direction is that sign.';
COMMENT ON COLUMN analytics.event_direction.confirmed_at IS 'When the rule was confirmed; null while it is assumed.';
COMMENT ON COLUMN analytics.event_direction.is_assumed IS
  'True if a rule answers that no person has confirmed.';
