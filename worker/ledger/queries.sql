-- Each statement is named by the line above it; the ledger runs it by that name.

-- name: create_run
-- A new run. `RETURNING id` numbers it.
INSERT INTO runs (name, job, source, location, source_stat, options, created_at)
VALUES (:name, :job, :source, :location, :source_stat, :options, :now) RETURNING id;

-- name: runs
-- All runs, the newest first.
SELECT * FROM runs ORDER BY id DESC;

-- name: runs_by_prefix
SELECT * FROM runs WHERE substr(name, 1, length(:prefix)) = :prefix ORDER BY id DESC;

-- name: run_by_id
SELECT * FROM runs WHERE id = :run;

-- name: unfinished_of
-- The newest unfinished run of one source.
SELECT * FROM runs WHERE location = :location AND state <> 'finished' AND state <> 'planned' ORDER BY id DESC LIMIT 1;

-- name: start_run
UPDATE runs SET state = 'running', why = NULL, ended_at = NULL, options = :options WHERE id = :run;

-- name: end_run
UPDATE runs SET state = :state, why = :why, ended_at = :now, seconds = seconds + :seconds WHERE id = :run;

-- name: admit
-- One row of the source. A session already in the run is left as it is.
INSERT INTO items (seq, run, session_id, line, reason, text, outcome, detail, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: admitted
-- How far the source has been read, in the same transaction as its rows.
UPDATE runs SET rows_read = rows_read + :read, duplicates = duplicates + :duplicates, digest = :digest WHERE id = :run;

-- name: source_done
UPDATE runs SET source_done = 1 WHERE id = :run;

-- name: claim_retries
-- Items whose time has come again; they go before the fresh ones, which have no due time.
UPDATE items SET outcome = 'claimed'
WHERE seq IN (SELECT seq FROM items WHERE run = :run AND outcome = 'pending' AND due_at > 0 AND due_at <= :now
              ORDER BY due_at, seq LIMIT :limit)
RETURNING seq, session_id, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at, recorded_at;

-- name: claim_fresh
-- Items never tried. The time of the first attempt is written before the request leaves.
UPDATE items SET outcome = 'claimed', first_attempt_at = :now
WHERE seq IN (SELECT seq FROM items WHERE run = :run AND outcome = 'pending' AND due_at = 0 ORDER BY seq LIMIT :limit)
RETURNING seq, session_id, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at, recorded_at;

-- name: release
-- A claimed item whose request never left.
UPDATE items SET outcome = 'pending', first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq = ? AND outcome = 'claimed';

-- name: rescue
-- What a dead process had claimed may have been sent: it is looked up before any second close.
UPDATE items SET outcome = 'in_doubt', due_at = 1, attempts = attempts + 1, http_status = NULL, error = 'process_died', looks = 0,
    detail = 'the process ended before the answer was recorded'
WHERE run = :run AND outcome = 'claimed';

-- name: rearm_doubts
-- A resumed run looks at once at what it had given up verifying.
UPDATE items SET due_at = 1, looks = 0 WHERE run = :run AND outcome = 'in_doubt';

-- name: rearm_settles
-- What was put off for ever (the key could not read) gets another chance.
UPDATE items SET settle_at = 1, looks = 0 WHERE run = :run AND settle_at >= :never;

-- name: due_doubts
SELECT seq, session_id, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at, recorded_at
FROM items WHERE run = :run AND outcome = 'in_doubt' AND due_at <= :now ORDER BY due_at, seq LIMIT :limit;

-- name: due_settles
SELECT seq, session_id, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at, recorded_at
FROM items WHERE run = :run AND settle_at <= :now ORDER BY settle_at, seq LIMIT :limit;

-- name: due_settle_count
-- How many are due, counted no further than the limit.
SELECT count(*) FROM (SELECT 1 FROM items WHERE run = :run AND settle_at <= :now LIMIT :limit);

-- name: next_due
-- When the next pending, doubtful and unsettled item is due; NULL where there is none.
SELECT (SELECT due_at FROM items WHERE run = :run AND outcome = 'pending' ORDER BY due_at LIMIT 1),
       (SELECT due_at FROM items WHERE run = :run AND outcome = 'in_doubt' ORDER BY due_at LIMIT 1),
       (SELECT settle_at FROM items WHERE run = :run AND settle_at IS NOT NULL ORDER BY settle_at LIMIT 1);

-- name: change
-- What became of an item. A NULL outcome keeps the outcome: it is a look at an item that already has one.
UPDATE items SET
    outcome = coalesce(:outcome, outcome), due_at = :due_at,
    detail = CASE WHEN :outcome IS NULL THEN coalesce(:detail, detail) ELSE :detail END,
    error = CASE WHEN :outcome IS NULL THEN error ELSE :error END,
    http_status = coalesce(:http_status, http_status),
    attempts = coalesce(:attempts, attempts), first_attempt_at = coalesce(:first_attempt_at, first_attempt_at),
    looks = :looks, recorded_at = CASE WHEN :outcome IS NULL THEN recorded_at ELSE :now END,
    started_at = coalesce(:started_at, started_at), closed_at = coalesce(:closed_at, closed_at),
    final_status = coalesce(:final_status, final_status), eval_status = coalesce(:eval_status, eval_status),
    eval_total = coalesce(:total, eval_total), eval_succeeded = coalesce(:succeeded, eval_succeeded),
    eval_failed = coalesce(:failed, eval_failed), eval_pending = coalesce(:pending, eval_pending),
    critical_total = coalesce(:critical_total, critical_total),
    critical_succeeded = coalesce(:critical_succeeded, critical_succeeded),
    critical_failed = coalesce(:critical_failed, critical_failed),
    critical_pending = coalesce(:critical_pending, critical_pending),
    eval_settled = :settled, settle_at = :settle_at, settled_at = CASE WHEN :settled = 1 THEN :now END
WHERE seq = :seq;

-- name: attempt
INSERT INTO attempts (run, item, at, kind, http_status, error, ms) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING seq;

-- name: sighting
INSERT INTO sightings (item, attempt) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: outcome_counts
SELECT CASE outcome WHEN 'claimed' THEN 'in_doubt' ELSE outcome END, count(*) FROM items
WHERE seq BETWEEN :first AND :last GROUP BY 1;

-- name: eval_counts
-- Verdicts of the sessions that are closed, and how many of them are not final.
SELECT eval_status, count(*), sum(eval_settled = 0) FROM items
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') GROUP BY 1;

-- name: request_counts
SELECT kind, count(*), sum(http_status = 429) FROM attempts WHERE run = :run GROUP BY 1;

-- name: retried_count
-- Closes sent beyond each session's first.
SELECT coalesce(sum(n - 1), 0) FROM
    (SELECT count(*) AS n FROM attempts WHERE run = :run AND kind = 'close' GROUP BY item HAVING count(*) > 1);

-- name: retry
-- Items to be attempted again, with a clean slate; what they were is in `attempts`.
UPDATE items SET outcome = 'pending', due_at = 1, attempts = 0, looks = 0, detail = NULL
WHERE seq BETWEEN :first AND :last AND outcome IN ('failed', 'rejected', 'not_found');

-- name: resettle
-- All verdicts that are not final are due for a look.
UPDATE items SET settle_at = :now, looks = 0
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') AND eval_settled = 0;

-- name: item_by_session
SELECT seq FROM items WHERE run = :run AND session_id = :session_id;

-- name: attempts_of
SELECT at, kind, http_status, error, ms FROM attempts WHERE item = :item
UNION ALL
SELECT a.at, a.kind, a.http_status, a.error, a.ms FROM sightings s JOIN attempts a ON a.seq = s.attempt WHERE s.item = :item
ORDER BY 1;
