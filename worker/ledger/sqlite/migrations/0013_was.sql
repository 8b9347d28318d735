-- What an item was, and how a run had ended, before it was taken up once more: JSON, NULL once something has come of it.
-- An item that is pending again shows as what it was.
ALTER TABLE items ADD COLUMN was TEXT;
ALTER TABLE runs ADD COLUMN was TEXT;
DROP VIEW results;
DROP VIEW item_results;

CREATE VIEW item_results AS
SELECT
    i.seq, r.name AS run,
    CASE WHEN i.session_id IS NULL THEN i.text ELSE
        lower(substr(hex(i.session_id), 1, 8) || '-' || substr(hex(i.session_id), 9, 4) || '-'
           || substr(hex(i.session_id), 13, 4) || '-' || substr(hex(i.session_id), 17, 4) || '-'
           || substr(hex(i.session_id), 21)) END AS session_id,
    CASE WHEN i.outcome = 'claimed' THEN 'in_doubt' WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'outcome' ELSE i.outcome END AS outcome,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'detail' ELSE i.detail END AS detail,
    i.final_status, i.eval_status, i.eval_settled, i.reason,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'attempts' ELSE i.attempts END AS attempts,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'http_status' ELSE i.http_status END AS http_status,
    CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'error' ELSE i.error END AS error,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.closed_at / 1000.0, 'unixepoch') AS closed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'first_attempt_at' ELSE i.first_attempt_at END / 1000.0, 'unixepoch') AS first_attempt_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', CASE WHEN i.outcome = 'pending' AND i.was IS NOT NULL THEN i.was ->> 'recorded_at' ELSE i.recorded_at END / 1000.0, 'unixepoch') AS recorded_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.settled_at / 1000.0, 'unixepoch') AS settled_at,
    i.eval_total, i.eval_succeeded, i.eval_failed, i.eval_pending,
    i.critical_total, i.critical_succeeded, i.critical_failed, i.critical_pending,
    i.line, nullif(r.job, '') AS job
FROM items i JOIN runs r ON r.id = i.run;

CREATE VIEW results AS
SELECT run, session_id, outcome, detail, final_status, eval_status, eval_settled, reason, attempts, http_status, error,
       closed_at, first_attempt_at, recorded_at, settled_at, eval_total, eval_succeeded, eval_failed, eval_pending,
       critical_total, critical_succeeded, critical_failed, critical_pending, line, job
FROM item_results;
