-- Each statement is named by the line above it; the ledger runs it by that name.

-- name: create_run
-- A new run. `RETURNING id` numbers it.
INSERT INTO runs (name, job, source, location, source_stat, options, made_by, reading, created_at, host)
VALUES (:name, :job, :source, :location, :source_stat, :options, :made_by, :reading, :now, :host) RETURNING id;

-- name: unnamed_hosts
-- Runs that an older version has made, with what tells their host.
SELECT id, options FROM runs WHERE host IS NULL;

-- name: host_named
UPDATE runs SET host = :host WHERE id = :run;

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

-- name: last_exchange
-- When the last exchange of a run was.
SELECT at FROM attempts WHERE run = :run ORDER BY seq DESC LIMIT 1;

-- name: tally
UPDATE runs SET tally = :tally, was = NULL WHERE id = :run;

-- name: pass_canary
UPDATE runs SET canary_passed = 1, was = NULL WHERE id = :run;

-- name: start_run
-- A process that died has not said how long it worked: it did until its last exchange. How the run had ended is kept
-- in `was` until something has come of it.
UPDATE runs SET was = CASE WHEN state = 'running' THEN was ELSE json_object('state', state, 'why', why,
        'ended_at', ended_at, 'options', options, 'seconds', seconds, 'waited', waited) END, state = 'running', why = NULL, ended_at = NULL, options = :options,
    seconds = seconds + max(0, coalesce((SELECT at FROM attempts WHERE run = :run ORDER BY seq DESC LIMIT 1) - begun_at, 0)) / 1000.0,
    begun_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = :run;

-- name: end_run
-- The seconds of `waited`, a JSON object, are added up by their names.
UPDATE runs SET was = NULL, state = :state, why = :why, ended_at = :now, begun_at = NULL, seconds = seconds + :seconds, waited = (
    SELECT json_group_object(key, seconds) FROM (
        SELECT key, round(sum(value), 3) AS seconds
        FROM (SELECT key, value FROM json_each(runs.waited) UNION ALL SELECT key, value FROM json_each(:waited)) GROUP BY key))
WHERE id = :run;

-- name: achieved
-- Something has come of the work on a run: it ends as it ends now, and no more as it had ended before.
UPDATE runs SET was = NULL WHERE id = :run AND was IS NOT NULL;

-- name: end_put_back
-- Nothing has come of the work on a run that had ended: it ends as it had. What was sent, and is in doubt, is something;
-- and so is that it has come to its end now.
UPDATE runs SET state = was ->> 'state', why = was ->> 'why', ended_at = was ->> 'ended_at', options = was ->> 'options',
    seconds = was ->> 'seconds', waited = was ->> 'waited', begun_at = NULL, was = NULL
WHERE id = :run AND was IS NOT NULL AND (:state NOT IN ('finished', 'planned') OR was ->> 'state' = :state)
  AND (was ->> 'state' NOT IN ('finished', 'planned') OR NOT EXISTS (
    SELECT 1 FROM items INDEXED BY items_open
    WHERE run = :run AND outcome IN ('claimed', 'in_doubt') AND due_at IS NOT NULL));

-- name: items_put_back
-- Items that were to be attempted again are as they were.
UPDATE items INDEXED BY items_open SET outcome = was ->> 'outcome', due_at = NULL, detail = was ->> 'detail',
    http_status = was ->> 'http_status', error = was ->> 'error', attempts = was ->> 'attempts', looks = was ->> 'looks',
    first_attempt_at = was ->> 'first_attempt_at', recorded_at = was ->> 'recorded_at', turn = was ->> 'turn', was = NULL
WHERE run = :run AND outcome = 'pending' AND due_at IS NOT NULL AND was IS NOT NULL;

-- name: budget_made
INSERT INTO budgets (host, organisation) VALUES (:host, :organisation) ON CONFLICT DO NOTHING;

-- name: budget
SELECT due, settle_due, closing_at, held_at, held_until, holds, down_since, probe_at, probes,
       set_rate, paused, set_by, seen_at, set_tolerated, set_floor, law
FROM budgets WHERE host = :host AND organisation = :organisation;

-- name: budget_changed
UPDATE budgets SET due = :due, settle_due = :settle_due, closing_at = :closing_at, held_at = :held_at,
    held_until = :held_until, holds = :holds, down_since = :down_since, probe_at = :probe_at, probes = :probes,
    set_rate = :set_rate, paused = :paused, set_by = :set_by, seen_at = :seen_at, set_tolerated = :set_tolerated,
    set_floor = :set_floor, law = :law
WHERE host = :host AND organisation = :organisation;

-- name: claims_noted
INSERT INTO claims (run, name, turn, seq) VALUES (:run, :name, :turn, :seq)
ON CONFLICT (run) DO UPDATE SET name = excluded.name, turn = excluded.turn,
    seq = iif(name = excluded.name, max(seq, excluded.seq), excluded.seq);

-- name: claims_note
SELECT run, name, turn, seq FROM claims;

-- name: claims_forgotten
DELETE FROM claims WHERE run = :run AND name = :name;

-- name: claims_forgotten_all
DELETE FROM claims;

-- name: turn_reached
-- Nothing where that run is not in the ledger.
SELECT coalesce((SELECT turn FROM hosts WHERE hosts.name = coalesce(runs.host, '')), 0) FROM runs
WHERE id = :run AND runs.name = :name;

-- name: claims_lost
INSERT INTO lost (run, turn, seq) SELECT id, :turn, :seq FROM runs WHERE id = :run AND name = :name
ON CONFLICT (run) DO UPDATE SET turn = max(turn, excluded.turn), seq = max(seq, excluded.seq) RETURNING run;

-- name: turn_made_up
-- No turn is given a second time.
INSERT INTO hosts (name, turn) SELECT coalesce(host, ''), :turn FROM runs WHERE id = :run AND name = :name
ON CONFLICT (name) DO UPDATE SET turn = max(turn, excluded.turn);

-- name: lost
-- Which of these items a run may have claimed in commits that the file has lost, and has not put off since for that.
SELECT i.seq FROM lost CROSS JOIN json_each(:seqs) w CROSS JOIN items i ON i.seq = w.value
WHERE lost.run = :run AND i.seq <= lost.seq AND coalesce(i.turn, 0) <= lost.turn;

-- name: admit
-- Rows of the source, as a JSON array of arrays. A session already in the run is left as it is.
INSERT INTO items (seq, run, session_id, line, reason, text, outcome, due_at, detail, recorded_at, started_at, looked_at)
SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8,
       value ->> 9, value ->> 10, value ->> 11
FROM json_each(:rows) WHERE true ON CONFLICT DO NOTHING;

-- name: seen_again
-- What a sweep has listed once more, and has not closed yet. What was parked may be taken up again.
UPDATE items INDEXED BY items_session SET looked_at = :at,
    due_at = CASE WHEN due_at >= :never THEN first_attempt_at IS NOT NULL ELSE due_at END
WHERE run = :run AND session_id IN (SELECT unhex(value) FROM json_each(:sessions)) AND outcome IN ('pending', 'claimed');

-- name: admitted
-- How far the source has been read, in the same transaction as its rows.
UPDATE runs SET rows_read = rows_read + :read, duplicates = duplicates + :duplicates, digest = :digest, was = NULL WHERE id = :run;

-- name: source_done
UPDATE runs SET was = CASE WHEN source_done THEN was END, source_done = 1, source_sha256 = coalesce(:sha256, source_sha256) WHERE id = :run;

-- name: ripen
-- What was never tried and had to wait for its time is as fresh as any, once that has come.
UPDATE items INDEXED BY items_delayed SET due_at = 0
WHERE run = :run AND outcome = 'pending' AND first_attempt_at IS NULL AND due_at > 0 AND due_at < 4611686018427387904
  AND due_at <= :now;

-- name: turn
-- The number of this turn of the run's host.
INSERT INTO hosts (name, turn) SELECT coalesce(host, ''), 1 FROM runs WHERE id = :run
ON CONFLICT (name) DO UPDATE SET turn = turn + 1 RETURNING turn;

-- name: pending_retries
-- Items whose time has come again, as one JSON array; they go before the fresh ones, which were never tried.
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at, first_attempt_earliest) AS claim
    FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'pending' AND due_at > 0 AND due_at <= :now
    ORDER BY due_at, seq LIMIT :limit);

-- name: pending_fresh
-- Items never tried, in the order of the source.
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, :now, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at, :earliest, json('true')) AS claim
    FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'pending' AND due_at = 0
    ORDER BY seq LIMIT :limit);

-- name: parked
-- Items to be looked up before they may be closed, with what their last look-up said.
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at, first_attempt_earliest, json('false'), final_status, updated_at) AS claim
    FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'pending' AND due_at BETWEEN :never AND :never + :now
    ORDER BY due_at, seq LIMIT :limit);

-- name: unpark
-- Parked items are as if admitted without a guard.
UPDATE items SET due_at = first_attempt_at IS NOT NULL WHERE seq IN (
    SELECT seq FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'pending' AND due_at >= :never LIMIT :limit);

-- name: fresh
-- Items never tried, parked ones too.
SELECT seq FROM items INDEXED BY items_open
WHERE run = :run AND outcome = 'pending' AND due_at IS NOT NULL AND first_attempt_at IS NULL LIMIT :limit;

-- name: skip
-- Items that a cap leaves out.
UPDATE items SET outcome = 'skipped', was = NULL, due_at = NULL, detail = :detail, recorded_at = :now
WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: unskip
-- Items that a cap left out are as if never seen, but for `was`.
UPDATE items SET was = json_object('outcome', outcome, 'detail', detail, 'http_status', http_status, 'error', error,
        'attempts', attempts, 'looks', looks, 'first_attempt_at', first_attempt_at, 'recorded_at', recorded_at, 'turn', turn),
    outcome = 'pending', due_at = 0, detail = NULL, recorded_at = NULL, turn = NULL WHERE seq IN (
    SELECT seq FROM items WHERE seq BETWEEN :first AND :last AND outcome = 'skipped' AND substr(detail, 1, length(:detail)) = :detail
    LIMIT :limit);

-- name: attempted_open
-- Items that were tried and have no outcome yet. What is in doubt for ever is not waited for.
SELECT seq FROM items INDEXED BY items_open
WHERE run = :run AND outcome IN ('pending', 'in_doubt') AND due_at > 0 AND due_at < :never AND first_attempt_at IS NOT NULL;

-- name: attempted_ends
-- How the items that were tried ended, with what the last answer was.
SELECT CASE outcome WHEN 'claimed' THEN 'in_doubt' ELSE outcome END, http_status, error, count(*) FROM items
WHERE seq BETWEEN :first AND :last AND first_attempt_at IS NOT NULL GROUP BY 1, 2, 3;

-- name: taken_count
SELECT count(*) FROM items WHERE seq BETWEEN :first AND :last AND first_attempt_at IS NOT NULL;

-- name: claim
-- Taken, before any request leaves; and so is the time of the first attempt.
UPDATE items SET outcome = 'claimed', first_attempt_at = coalesce(first_attempt_at, :now), turn = :turn,
    first_attempt_earliest = CASE WHEN first_attempt_at IS NULL THEN :earliest ELSE first_attempt_earliest END
WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: held_elsewhere
-- Which of these items' sessions another run on the same host has claimed, has in doubt, or has seen closed: one search,
-- however many runs there are. What was tried here before another run's last turn is older news. What is put off there
-- for somebody's doubt is no doubt of its own: two runs would put each other off without end.
WITH others AS MATERIALIZED (
    SELECT id FROM runs WHERE host = (SELECT host FROM runs WHERE id = :run) AND id <> :run)
SELECT i.seq, o.run, o.outcome, coalesce(o.turn, 0) > coalesce(i.turn, -1), o.started_at
FROM json_each(:seqs) w CROSS JOIN items i ON i.seq = w.value
CROSS JOIN items o INDEXED BY items_held ON o.session_id = i.session_id
WHERE o.outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed') AND o.run IN (SELECT id FROM others)
  AND (o.outcome = 'claimed' OR (coalesce(o.turn, 0) > coalesce(i.turn, -1)
    AND (o.outcome IN ('closed', 'already_closed')
         OR (o.detail IS NOT :put_off AND coalesce(o.first_attempt_at, o.closed_at) IS NOT NULL))));

-- name: known_count
-- How many of these sessions, by their digits, runs on the host have closed or found closed.
WITH there AS MATERIALIZED (SELECT id FROM runs WHERE host = :host)
SELECT count(*) FROM json_each(:sessions) w WHERE EXISTS (
    SELECT 1 FROM items o INDEXED BY items_held
    WHERE o.session_id = unhex(w.value) AND o.outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed')
      AND o.outcome IN ('closed', 'already_closed') AND o.run IN (SELECT id FROM there));

-- name: reasons_of
-- Where the run has these sessions, by their digits, and with which reason.
SELECT session_id, line, reason FROM items INDEXED BY items_session
WHERE run = :run AND session_id IN (SELECT unhex(value) FROM json_each(:sessions));

-- name: look_first
-- Items that are put off until their sessions have been looked up. `rows`: number, due time, detail, and start if known.
UPDATE items SET outcome = 'in_doubt', due_at = w.due, detail = w.detail, looks = 0, turn = :turn,
    started_at = coalesce(items.started_at, w.started_at), closed_at = iif(items.first_attempt_at IS NULL, NULL, items.closed_at)
FROM (SELECT value ->> 0 AS seq, value ->> 1 AS due, value ->> 2 AS detail, value ->> 3 AS started_at FROM json_each(:rows)) w
WHERE items.seq = w.seq;

-- name: wait
-- An item that another run is about to close.
UPDATE items SET due_at = :due WHERE seq = :seq;

-- name: look_again
-- Claimed items whose last look was too long ago.
UPDATE items SET outcome = 'in_doubt', looks = 0, due_at = due_at <> 0,
    first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq IN (SELECT value FROM json_each(:seqs)) AND outcome = 'claimed';

-- name: release
-- A claimed item whose request never left.
UPDATE items SET outcome = 'pending', first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq = ? AND outcome = 'claimed';

-- name: park
-- A claimed item that must be listed again before it may be closed.
UPDATE items SET outcome = 'pending', first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END,
    due_at = :never
WHERE seq IN (SELECT value FROM json_each(:seqs)) AND outcome = 'claimed';

-- name: parked_count
SELECT count(*) FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'pending' AND due_at >= :never;

-- name: skip_parked
-- Parked items that were not listed again since.
UPDATE items SET outcome = 'skipped', was = NULL, due_at = NULL, detail = :detail, recorded_at = :now WHERE seq IN (
    SELECT seq FROM items INDEXED BY items_open
    WHERE run = :run AND outcome = 'pending' AND due_at >= :never AND coalesce(looked_at, 0) < :since LIMIT :limit);

-- name: park_all
-- All that is pending must be looked up before it may be closed, and so must what is in doubt once it is pending again.
UPDATE items INDEXED BY items_open SET looked_at = NULL, due_at = CASE WHEN outcome <> 'pending' THEN due_at
    WHEN first_attempt_at IS NULL THEN :never + due_at ELSE :never END
WHERE run = :run AND outcome IN ('pending', 'claimed', 'in_doubt') AND due_at < :never;

-- name: plan_groups
-- How the sessions of a plan stand. Invalid rows are counted elsewhere.
SELECT outcome, detail, final_status, channel, count(*), min(started_at), max(started_at) FROM items
WHERE seq BETWEEN :first AND :last AND session_id IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4;

-- name: open_count
-- How many are to be closed or verified by then, counted no further than the limit.
SELECT count(*) FROM (
    SELECT 1 FROM items INDEXED BY items_open
    WHERE run = :run AND outcome IN ('pending', 'claimed', 'in_doubt') AND due_at <= :by LIMIT :limit);

-- name: backlog
-- The same with those that are to be looked up by then.
SELECT count(*) FROM (
    SELECT 1 FROM items INDEXED BY items_open
    WHERE run = :run AND outcome IN ('pending', 'claimed', 'in_doubt') AND due_at <= :by
    UNION ALL
    SELECT 1 FROM items INDEXED BY items_open
    WHERE run = :run AND outcome = 'pending' AND due_at BETWEEN :never AND :never + :by LIMIT :limit);

-- name: rescue
-- What a dead process had claimed may have been sent: it is looked up before any second close.
UPDATE items INDEXED BY items_open SET outcome = 'in_doubt', was = NULL, due_at = 1, http_status = NULL, error = 'process_died', looks = 0,
    detail = 'the process ended before the answer was recorded'
WHERE run = :run AND outcome = 'claimed' AND due_at IS NOT NULL;

-- name: rearm_doubts
-- A resumed run looks at once at what it had given up verifying.
UPDATE items INDEXED BY items_open SET due_at = first_attempt_at IS NOT NULL, looks = 0 WHERE run = :run AND outcome = 'in_doubt' AND due_at IS NOT NULL;

-- name: rearm_retries
-- What is to be tried again is due at once: it may have been put off by a clock that was ahead of this one.
UPDATE items INDEXED BY items_open SET due_at = 1
WHERE run = :run AND outcome = 'pending' AND first_attempt_at IS NOT NULL AND due_at > 1 AND due_at < :never;

-- name: rearm_settles
-- What was put off for ever (the key could not read) gets another chance.
UPDATE items INDEXED BY items_unsettled SET settle_at = 1, looks = 0 WHERE run = :run AND settle_at >= :never;

-- name: rearm_ahead
-- What a clock that was ahead of this one has noted is not waited for: it is no later than now.
UPDATE items INDEXED BY items_unsettled SET settle_at = :now, recorded_at = :now, looked_at = min(looked_at, :now)
WHERE run = :run AND settle_at > :now AND settle_at < :never AND recorded_at > :now;

-- name: due_doubts
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at, first_attempt_earliest) AS claim
    FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'in_doubt' AND due_at > 0 AND due_at <= :now
    ORDER BY due_at, seq LIMIT :limit);

-- name: due_known
-- Sessions that were never tried here, as another run has closed them.
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at) AS claim
    FROM items INDEXED BY items_open WHERE run = :run AND outcome = 'in_doubt' AND due_at = 0
    ORDER BY seq LIMIT :limit);

-- name: due_settles
-- `settle_at` of what was never looked at is when it was closed: it is due when that was before `ripe`.
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at) AS claim
    FROM items INDEXED BY items_unsettled WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe)
    ORDER BY settle_at, looks, seq LIMIT :limit);

-- name: due_settles_by_start
-- The same in the order in which a listing has them, after one that was given before.
SELECT json_group_array(json(claim)) FROM (
    SELECT json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks, started_at,
                      closed_at, recorded_at, looked_at) AS claim
    FROM items INDEXED BY items_unsettled
    WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe)
      AND (coalesce(started_at, 0), seq) > (:start, :seq)
    ORDER BY coalesce(started_at, 0), seq LIMIT :limit);

-- name: due_settle_spans
-- In how many spans of time of this length the sessions that are due have started.
SELECT count(DISTINCT coalesce(started_at, 0) / :span) FROM items INDEXED BY items_unsettled
WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe);

-- name: due_settle_count
-- How many are due, counted no further than the limit.
SELECT count(*) FROM (
    SELECT 1 FROM items INDEXED BY items_unsettled
    WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe) LIMIT :limit);

-- name: settles_ahead
-- When the first and the last of what is not settled is due; `wait` is the age of a first look.
SELECT min(due), max(due) FROM (
    SELECT settle_at + CASE looks WHEN 0 THEN :wait ELSE 0 END AS due
    FROM items INDEXED BY items_unsettled WHERE run = :run AND settle_at < :never);

-- name: doubt_nones
-- Verdicts of `none` without runs that were believed when their close was younger than `age`: they are looked at again.
UPDATE items SET eval_settled = 0, settled_at = NULL, settle_at = recorded_at, looks = 0
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') AND eval_settled = 1
  AND eval_status = 'none' AND eval_total = 0 AND looked_at - recorded_at < :age;

-- name: next_due
-- When the next pending, doubtful and unsettled item is due; NULL where there is none.
SELECT (SELECT due_at FROM items INDEXED BY items_open
        WHERE run = :run AND outcome = 'pending' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1),
       (SELECT due_at FROM items INDEXED BY items_open
        WHERE run = :run AND outcome = 'in_doubt' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1),
       (SELECT settle_at FROM items INDEXED BY items_unsettled WHERE run = :run AND settle_at IS NOT NULL ORDER BY settle_at LIMIT 1);

-- name: change
-- What became of items, as a JSON array of arrays. A NULL outcome keeps the outcome: it is a look at an item that has one.
-- An item to be attempted again is what it was until a request for it has been answered.
UPDATE items SET
    was = CASE WHEN coalesce(c.outcome, 'pending') = 'pending' AND c.final_status IS NULL THEN items.was END,
    outcome = coalesce(c.outcome, items.outcome), due_at = c.due_at,
    detail = CASE WHEN c.outcome IS NULL THEN coalesce(c.detail, items.detail) ELSE c.detail END,
    error = CASE WHEN c.outcome IS NULL THEN items.error ELSE c.error END,
    http_status = CASE WHEN c.outcome IS NULL THEN items.http_status ELSE c.http_status END,
    attempts = coalesce(c.attempts, items.attempts),
    first_attempt_at = CASE WHEN c.outcome = 'skipped' AND items.attempts = 0 THEN NULL -- claimed, and then left alone
        ELSE coalesce(c.first_attempt_at, items.first_attempt_at) END,
    first_attempt_earliest = coalesce(items.first_attempt_earliest, c.earliest),
    looks = c.looks, looked_at = coalesce(c.looked_at, items.looked_at), recorded_at = CASE WHEN c.outcome IS NULL THEN items.recorded_at ELSE :now END,
    eval_settled = c.settled, settle_at = c.settle_at, settled_at = CASE WHEN c.settled = 1 THEN :now END,
    started_at = coalesce(c.started_at, items.started_at), closed_at = coalesce(c.closed_at, items.closed_at),
    final_status = coalesce(c.final_status, items.final_status), eval_status = coalesce(c.eval_status, items.eval_status),
    eval_total = coalesce(c.total, items.eval_total), eval_succeeded = coalesce(c.succeeded, items.eval_succeeded),
    eval_failed = coalesce(c.failed, items.eval_failed), eval_pending = coalesce(c.pending, items.eval_pending),
    critical_total = coalesce(c.critical_total, items.critical_total),
    critical_succeeded = coalesce(c.critical_succeeded, items.critical_succeeded),
    critical_failed = coalesce(c.critical_failed, items.critical_failed),
    critical_pending = coalesce(c.critical_pending, items.critical_pending),
    updated_at = coalesce(c.updated_at, items.updated_at), channel = coalesce(c.channel, items.channel)
FROM (
    SELECT value ->> 0 AS seq, value ->> 1 AS outcome, value ->> 2 AS due_at, value ->> 3 AS detail, value ->> 4 AS error,
           value ->> 5 AS http_status, value ->> 6 AS attempts, value ->> 7 AS first_attempt_at, value ->> 8 AS looks, value ->> 12 AS earliest,
           value ->> 9 AS settled, value ->> 10 AS settle_at, value ->> 11 AS looked_at, value ->> 13 AS started_at,
           value ->> 14 AS closed_at, value ->> 15 AS final_status, value ->> 16 AS eval_status, value ->> 17 AS total,
           value ->> 18 AS succeeded, value ->> 19 AS failed, value ->> 20 AS pending, value ->> 21 AS critical_total,
           value ->> 22 AS critical_succeeded, value ->> 23 AS critical_failed, value ->> 24 AS critical_pending,
           value ->> 25 AS updated_at, value ->> 26 AS channel
    FROM json_each(:changes)
) AS c
WHERE items.seq = c.seq;

-- name: closed_by
-- What these items were found closed by, as far as the ledger knows: a close of another run, or one that it may have sent.
-- Times of the same close are the same, but for how an answer rounds them.
UPDATE items SET detail = (
    SELECT CASE o.outcome WHEN 'closed' THEN 'closed by run ' || r.name || ' of this ledger at '
               ELSE 'run ' || r.name || ' of this ledger has sent a close that it has not verified; closed at ' END
           || strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(o.closed_at, items.closed_at, o.recorded_at, o.first_attempt_at) / 1000.0, 'unixepoch')
    FROM items o INDEXED BY items_held CROSS JOIN runs r ON r.id = o.run
    WHERE o.session_id = items.session_id AND o.outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed')
      AND r.host = (SELECT host FROM runs WHERE id = items.run) AND r.id <> items.run
      AND (o.outcome = 'closed' OR (o.outcome IN ('claimed', 'in_doubt') AND o.first_attempt_at IS NOT NULL))
      AND coalesce(abs(o.closed_at - items.closed_at) < 5000, true)
    ORDER BY o.outcome <> 'closed', r.id DESC LIMIT 1)
WHERE seq IN (SELECT value FROM json_each(:seqs)) AND outcome = 'already_closed' AND detail IS NULL;

-- name: attempts
-- Exchanges about one item each, as a JSON array of arrays.
INSERT INTO attempts (run, item, at, kind, http_status, error, ms)
SELECT :run, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(:attempts);

-- name: page
-- A listing page; `RETURNING seq` lets the items it told of refer to it.
INSERT INTO attempts (run, at, kind, http_status, error, ms) VALUES (:run, :at, :kind, :http_status, :error, :ms)
RETURNING seq;

-- name: sightings
INSERT INTO sightings (item, attempt) SELECT value, :attempt FROM json_each(:items) WHERE true ON CONFLICT DO NOTHING;

-- name: outcome_counts
-- What is to be attempted again counts as what it was; how many of each these are, too.
SELECT CASE outcome WHEN 'claimed' THEN 'in_doubt' WHEN 'pending' THEN coalesce(was ->> 'outcome', outcome) ELSE outcome END,
       count(*), sum(outcome = 'pending' AND was IS NOT NULL)
FROM items WHERE seq BETWEEN :first AND :last GROUP BY 1;

-- name: eval_counts
-- Verdicts of the sessions that are closed, how many of them are not final, and how many sessions were seen open again.
-- Then the sums of their runs.
SELECT eval_status, count(*), sum(eval_settled = 0), sum(final_status IN (SELECT value FROM json_each(:live))),
       coalesce(sum(eval_total), 0), coalesce(sum(eval_succeeded), 0), coalesce(sum(eval_failed), 0),
       coalesce(sum(eval_pending), 0), coalesce(sum(critical_total), 0), coalesce(sum(critical_succeeded), 0),
       coalesce(sum(critical_failed), 0), coalesce(sum(critical_pending), 0)
FROM items
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') GROUP BY 1;

-- name: closed_sample
-- Closed sessions picked at random, each as likely as any other.
SELECT json_group_array(json(item)) FROM (
    SELECT json_array(json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks,
                                 started_at, closed_at, recorded_at, looked_at),
                      final_status, eval_status, json(iif(eval_settled, 'true', 'false'))) AS item
    FROM items WHERE seq IN (
        SELECT seq FROM items WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed')
        ORDER BY random() LIMIT :limit));

-- name: closed_by_start
-- Closed sessions in the order in which a listing has them, after one that was given before.
SELECT json_group_array(json(item)) FROM (
    SELECT json_array(json_array(seq, hex(session_id), reason, attempts, first_attempt_at, http_status, error, looks,
                                 started_at, closed_at, recorded_at, looked_at),
                      final_status, eval_status, json(iif(eval_settled, 'true', 'false'))) AS item
    FROM items WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed')
      AND (coalesce(started_at, 0), seq) > (:start, :seq)
    ORDER BY coalesce(started_at, 0), seq LIMIT :limit);

-- name: invalid_kinds
-- Only invalid rows have no session, and the index has those of a run together.
SELECT substr(detail, 1, instr(detail || ': ', ': ') - 1), count(*), min(line) FROM items INDEXED BY items_session
WHERE run = :run AND session_id IS NULL GROUP BY 1 ORDER BY 2 DESC, 3 LIMIT :limit;

-- name: request_counts
SELECT kind, count(*), sum(http_status = 429) FROM attempts WHERE run = :run GROUP BY 1;

-- name: retried_count
-- Closes sent beyond each session's first. What found no connection was not sent; older versions called all of that `connection_failed`.
SELECT coalesce(sum(n - 1), 0) FROM
    (SELECT count(*) AS n FROM attempts WHERE run = :run AND kind = 'close' AND (error IS NULL OR error <> 'connection_failed' AND substr(error, 1, 7) <> 'unsent_')
     GROUP BY item HAVING count(*) > 1);

-- name: retry
-- Items to be attempted again, with a clean slate; what they were is in `was`, and what was sent for them in `attempts`.
UPDATE items SET was = json_object('outcome', outcome, 'detail', detail, 'http_status', http_status, 'error', error,
        'attempts', attempts, 'looks', looks, 'first_attempt_at', first_attempt_at, 'recorded_at', recorded_at, 'turn', turn),
    outcome = 'pending', due_at = CASE WHEN :parked THEN :never ELSE first_attempt_at IS NOT NULL END,
    attempts = 0, looks = 0, detail = NULL, turn = NULL
WHERE seq BETWEEN :first AND :last AND outcome IN ('failed', 'rejected', 'not_found');

-- name: resettle
-- All verdicts that are not final are looked at again, as if for the first time.
UPDATE items SET settle_at = recorded_at, looks = 0
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') AND eval_settled = 0;

-- name: item_by_session
SELECT seq FROM items WHERE run = :run AND session_id = :session_id;

-- name: session_anywhere
-- The item of one session in each run, the newest first: a search for each run, which spares every row an index of its own.
SELECT i.seq FROM runs r CROSS JOIN items i INDEXED BY items_session
WHERE i.run = r.id AND i.session_id = :session ORDER BY r.id DESC LIMIT :limit;

-- name: invalid_anywhere
-- Invalid rows by what stood in them, the newest first.
SELECT seq FROM items INDEXED BY items_text WHERE text = :text AND session_id IS NULL ORDER BY seq DESC LIMIT :limit;

-- name: attempts_of
SELECT at, kind, http_status, error, ms FROM attempts WHERE item = :item
UNION ALL
SELECT a.at, a.kind, a.http_status, a.error, a.ms FROM sightings s JOIN attempts a ON a.seq = s.attempt WHERE s.item = :item
ORDER BY 1;
