-- What an item was, and how a run had ended, before it was taken up once more: JSON, NULL once something has come of it.
-- An item that is pending again shows as what it was.
ALTER TABLE items ADD COLUMN was jsonb;
ALTER TABLE runs ADD COLUMN was text;
DROP VIEW results;
DROP VIEW item_results;

CREATE VIEW item_results AS
SELECT
    i.seq, i.run AS run_id, r.name AS run,
    coalesce(i.session_id::text, i.text) AS session_id,
    CASE WHEN i.outcome = 'claimed' THEN 'in_doubt' WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'outcome' ELSE i.outcome END AS outcome,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'detail' ELSE i.detail END AS detail,
    i.final_status, i.eval_status, i.eval_settled, i.reason,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN (i.was ->> 'attempts')::integer ELSE i.attempts END AS attempts,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN (i.was ->> 'http_status')::integer ELSE i.http_status END AS http_status,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'error' ELSE i.error END AS error,
    instant(i.closed_at) AS closed_at,
    instant(CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN (i.was ->> 'first_attempt_at')::bigint ELSE i.first_attempt_at END) AS first_attempt_at,
    instant(CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN (i.was ->> 'recorded_at')::bigint ELSE i.recorded_at END) AS recorded_at, instant(i.settled_at) AS settled_at,
    i.eval_total, i.eval_succeeded, i.eval_failed, i.eval_pending,
    i.critical_total, i.critical_succeeded, i.critical_failed, i.critical_pending,
    i.line, nullif(r.job, '') AS job
FROM items i JOIN runs r ON r.id = i.run;

CREATE VIEW results AS
SELECT run, session_id, outcome, detail, final_status, eval_status, eval_settled, reason, attempts, http_status, error,
       closed_at, first_attempt_at, recorded_at, settled_at, eval_total, eval_succeeded, eval_failed, eval_pending,
       critical_total, critical_succeeded, critical_failed, critical_pending, line, job
FROM item_results;
