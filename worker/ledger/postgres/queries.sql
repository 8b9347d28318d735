-- Each statement is named by the line above it; the ledger runs it by that name. They are those of the SQLite ledger in
-- PostgreSQL's words, where a process is one of several.

-- name: touch
-- Writes what stands there, so that it is known whether that is possible.
UPDATE migrations SET applied_at = applied_at WHERE version = 1;

-- name: lock_held
-- Whether somebody has a lock of that name for himself: its key is shown in two halves.
SELECT true FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock' AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((classid::bigint << 32) | objid::bigint) = hashtextextended(:name::text, 0);

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
SELECT * FROM runs WHERE starts_with(name, :prefix::text) ORDER BY id DESC;

-- name: run_by_id
SELECT * FROM runs WHERE id = :run;

-- name: unfinished_of
-- The newest unfinished run of one source.
SELECT * FROM runs WHERE location = :location AND state <> 'finished' AND state <> 'planned' ORDER BY id DESC LIMIT 1;

-- name: last_exchange
-- When the last exchange of a run was.
SELECT at FROM attempts WHERE run = :run ORDER BY seq DESC LIMIT 1;

-- name: now
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;

-- name: tally
UPDATE runs SET tally = :tally, was = NULL WHERE id = :run;

-- name: pass_canary
UPDATE runs SET canary_passed = true, was = NULL WHERE id = :run;

-- name: start_run
-- A process that died has not said how long it worked: it did until its last exchange. How the run had ended is kept
-- in `was` until something has come of it.
UPDATE runs SET was = CASE WHEN state = 'running' THEN was ELSE json_build_object('state', state, 'why', why,
        'ended_at', ended_at, 'options', options, 'seconds', seconds, 'waited', waited)::text END, state = 'running', why = NULL, ended_at = NULL, options = :options,
    seconds = seconds + greatest(0, coalesce((SELECT at FROM attempts WHERE run = :run ORDER BY seq DESC LIMIT 1) - begun_at, 0)) / 1000.0,
    begun_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint
WHERE id = :run;

-- name: end_run
-- Also what its lead worked on a run that goes on without it. The seconds of `waited`, a JSON object, are added up by their names.
UPDATE runs SET was = CASE WHEN :state = 'running' THEN was END, state = :state, why = :why, ended_at = :now, begun_at = NULL, seconds = seconds + :seconds, waited = (
    SELECT coalesce(json_object_agg(key, seconds), '{}')::text FROM (
        SELECT key, round(sum(value::numeric), 3) AS seconds
        FROM (SELECT * FROM json_each_text(runs.waited::json) UNION ALL SELECT * FROM json_each_text(:waited::json)) each
        GROUP BY key) sums)
WHERE id = :run;

-- name: achieved
-- Something has come of the work on a run: it ends as it ends now, and no more as it had ended before.
UPDATE runs SET was = NULL WHERE id = :run AND was IS NOT NULL;

-- name: end_put_back
-- Nothing has come of the work on a run that had ended: it ends as it had. What was sent, and is in doubt, is something;
-- and so is that it has come to its end now.
UPDATE runs SET state = was::json ->> 'state', why = was::json ->> 'why', ended_at = (was::json ->> 'ended_at')::bigint,
    options = was::json ->> 'options', seconds = (was::json ->> 'seconds')::float8, waited = was::json ->> 'waited',
    begun_at = NULL, was = NULL
WHERE id = :run AND was IS NOT NULL AND (:state::text NOT IN ('finished', 'planned') OR was::json ->> 'state' = :state::text)
  AND (was::json ->> 'state' NOT IN ('finished', 'planned') OR NOT EXISTS (
    SELECT 1 FROM items WHERE run = :run AND outcome IN ('claimed', 'in_doubt') AND due_at IS NOT NULL));

-- name: items_put_back
-- Items that were to be attempted again are as they were.
UPDATE items SET outcome = was ->> 'outcome', due_at = NULL, detail = was ->> 'detail',
    http_status = (was ->> 'http_status')::integer, error = was ->> 'error', attempts = (was ->> 'attempts')::integer,
    looks = (was ->> 'looks')::integer, first_attempt_at = (was ->> 'first_attempt_at')::bigint,
    recorded_at = (was ->> 'recorded_at')::bigint, turn = (was ->> 'turn')::integer, was = NULL
WHERE run = :run AND outcome = 'pending' AND due_at IS NOT NULL AND was IS NOT NULL;

-- name: budget_made
INSERT INTO budgets (host, organisation) VALUES (:host, :organisation) ON CONFLICT DO NOTHING;

-- name: budget
-- Locked; the clock is read once the row is ours: waiting for it takes time.
WITH held AS MATERIALIZED (
    SELECT due, settle_due, closing_at, held_at, held_until, holds, down_since, probe_at, probes,
           set_rate, paused, set_by, seen_at, set_tolerated, set_floor, law
    FROM budgets WHERE host = :host AND organisation = :organisation FOR UPDATE)
SELECT held.*, extract(epoch FROM clock_timestamp())::float8 FROM held;

-- name: budget_changed
UPDATE budgets SET due = :due, settle_due = :settle_due, closing_at = :closing_at, held_at = :held_at,
    held_until = :held_until, holds = :holds, down_since = :down_since, probe_at = :probe_at, probes = :probes,
    set_rate = :set_rate, paused = :paused, set_by = :set_by, seen_at = :seen_at, set_tolerated = :set_tolerated,
    set_floor = :set_floor, law = :law
WHERE host = :host AND organisation = :organisation;

-- name: admit
-- Rows of the source, as a JSON array of arrays. A session already in the run is left as it is.
INSERT INTO items (seq, run, session_id, line, reason, text, outcome, due_at, detail, recorded_at, started_at, looked_at)
SELECT (v ->> 0)::bigint, (v ->> 1)::bigint, (v ->> 2)::uuid, (v ->> 3)::bigint, v ->> 4, v ->> 5, v ->> 6, (v ->> 7)::bigint, v ->> 8,
       (v ->> 9)::bigint, (v ->> 10)::bigint, (v ->> 11)::bigint
FROM jsonb_array_elements(:rows::jsonb) AS row(v) ON CONFLICT (run, session_id) WHERE session_id IS NOT NULL DO NOTHING;

-- name: seen_again
-- What a sweep has listed once more, and has not closed yet. What was parked may be taken up again.
UPDATE items SET looked_at = :at,
    due_at = CASE WHEN due_at >= :never THEN (first_attempt_at IS NOT NULL)::int ELSE due_at END
WHERE run = :run AND session_id = ANY (:sessions::text[]::uuid[]) AND outcome IN ('pending', 'claimed');

-- name: run_locked
-- Admission goes on from the number of rows that the run has: one process at a time.
SELECT * FROM runs WHERE id = :run FOR UPDATE;

-- name: admitted
-- How far the source has been read, in the same transaction as its rows.
UPDATE runs SET rows_read = rows_read + :read, duplicates = duplicates + :duplicates, digest = :digest, was = NULL WHERE id = :run;

-- name: source_done
UPDATE runs SET was = CASE WHEN source_done THEN was END, source_done = true, source_sha256 = coalesce(:sha256::text, source_sha256) WHERE id = :run;

-- name: ripen
-- What was never tried and had to wait for its time is as fresh as any, once that has come.
UPDATE items SET due_at = 0 WHERE seq IN (
    SELECT seq FROM items
    WHERE run = :run AND outcome = 'pending' AND first_attempt_at IS NULL AND due_at > 0 AND due_at < 4611686018427387904
      AND due_at <= :now
    FOR UPDATE SKIP LOCKED);

-- name: turn
-- The number of this turn of the run's host. Its row is held until the transaction ends: the runs on a host claim one after
-- another, and each sees what those before it have claimed.
INSERT INTO hosts (name, turn) SELECT coalesce(host, ''), 1 FROM runs WHERE id = :run
ON CONFLICT (name) DO UPDATE SET turn = hosts.turn + 1 RETURNING turn;

-- name: pending_retries
-- Items whose time has come again are taken before any request leaves; and they go before the fresh ones. What another
-- process is just taking is passed over. The last value is the turn in which each was taken before.
WITH due AS MATERIALIZED (
    SELECT seq, coalesce(turn, -1) AS before FROM items WHERE run = :run AND outcome = 'pending' AND due_at > 0 AND due_at <= :now
    ORDER BY due_at, seq LIMIT :limit FOR UPDATE SKIP LOCKED)
UPDATE items SET outcome = 'claimed', owner = :owner, first_attempt_at = coalesce(first_attempt_at, :now), turn = :turn,
    first_attempt_earliest = CASE WHEN first_attempt_at IS NULL THEN :earliest::bigint ELSE first_attempt_earliest END
FROM due WHERE items.seq = due.seq
RETURNING items.due_at, items.seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
          recorded_at, looked_at, first_attempt_earliest, false, before;

-- name: pending_fresh
-- Items never tried, in the order of the source; and so is the time of the first attempt written.
WITH due AS MATERIALIZED (
    SELECT seq, coalesce(turn, -1) AS before FROM items WHERE run = :run AND outcome = 'pending' AND due_at = 0
      AND (:owner::bigint IS NULL OR EXISTS (SELECT 1 FROM leads l WHERE l.run = :run AND (l.worker = :owner AND :leads OR l.shares)))
    ORDER BY seq LIMIT :limit FOR UPDATE SKIP LOCKED)
UPDATE items SET outcome = 'claimed', owner = :owner, first_attempt_at = coalesce(first_attempt_at, :now), turn = :turn,
    first_attempt_earliest = CASE WHEN first_attempt_at IS NULL THEN :earliest::bigint ELSE first_attempt_earliest END
FROM due WHERE items.seq = due.seq
RETURNING items.due_at, items.seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
          recorded_at, looked_at, first_attempt_earliest, true, before;

-- name: held_elsewhere
-- Which of these items' sessions another run on the same host has claimed, has in doubt, or has seen closed, and whether the
-- worker that has claimed it is alive. `befores` are the turns in which the items were taken before: what other runs did
-- up to then is no news. One search, however many runs there are. What is put off there for somebody's doubt is no doubt
-- of its own: two runs would put each other off without end.
WITH others AS MATERIALIZED (
    SELECT id FROM runs WHERE host = (SELECT host FROM runs WHERE id = :run) AND id <> :run)
SELECT i.seq, o.run, o.outcome, o.turn > w.before, o.started_at,
       EXISTS (SELECT 1 FROM workers k WHERE k.id = o.owner AND k.lease_until > clock_timestamp())
FROM unnest(:seqs::bigint[], :befores::bigint[]) AS w (seq, before) JOIN items i ON i.seq = w.seq
CROSS JOIN LATERAL (
    SELECT run, outcome, coalesce(turn, 0) AS turn, owner, started_at, first_attempt_at, closed_at, detail
    FROM items WHERE session_id = i.session_id AND outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed') OFFSET 0) o
JOIN others ON others.id = o.run
WHERE o.outcome = 'claimed' OR (o.turn > w.before
    AND (o.outcome IN ('closed', 'already_closed') OR (o.outcome = 'in_doubt' AND coalesce(o.first_attempt_at, o.closed_at) IS NOT NULL
        AND o.detail IS DISTINCT FROM :put_off)));

-- name: known_count
-- How many of these sessions runs on the host have closed or found closed.
WITH there AS MATERIALIZED (SELECT id FROM runs WHERE host = :host)
SELECT count(*) FROM unnest(:sessions::text[]::uuid[]) AS w (session) WHERE EXISTS (
    SELECT 1 FROM (
        SELECT run, outcome FROM items WHERE session_id = w.session AND outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed') OFFSET 0) o
    WHERE o.outcome IN ('closed', 'already_closed') AND o.run IN (SELECT id FROM there));

-- name: reasons_of
-- Where the run has these sessions, and with which reason.
SELECT session_id, line, reason FROM items WHERE run = :run AND session_id = ANY (:sessions::text[]::uuid[]);

-- name: look_first
-- Items that are put off until their sessions have been looked up. `rows`: number, due time, detail, and start if known.
UPDATE items SET outcome = 'in_doubt', due_at = w.due, detail = w.detail, looks = 0, turn = :turn, owner = NULL,
    started_at = coalesce(items.started_at, w.started_at), closed_at = CASE WHEN items.due_at = 0 THEN NULL ELSE items.closed_at END,
    first_attempt_at = CASE WHEN items.due_at = 0 THEN NULL ELSE items.first_attempt_at END
FROM (SELECT (v ->> 0)::bigint AS seq, (v ->> 1)::bigint AS due, v ->> 2 AS detail, (v ->> 3)::bigint AS started_at
      FROM jsonb_array_elements(:rows::jsonb) AS row (v)) w
WHERE items.seq = w.seq;

-- name: wait
-- An item that another run is about to close, as if it had not been taken.
UPDATE items SET outcome = 'pending', owner = NULL, turn = nullif(:before::bigint, -1), due_at = :due,
    first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq = :seq;

-- name: look_again
-- Claimed items whose last look was too long ago.
UPDATE items SET outcome = 'in_doubt', owner = NULL, looks = 0, due_at = (due_at <> 0)::int,
    first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq = ANY (:seqs::bigint[]) AND outcome = 'claimed' AND owner IS NOT DISTINCT FROM :owner;

-- name: parked
-- Items to be looked up before they may be closed, with what their last look-up said.
SELECT seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at, first_attempt_earliest, false, final_status, updated_at
FROM items WHERE run = :run AND outcome = 'pending' AND due_at BETWEEN :never AND :never + :now
ORDER BY due_at, seq LIMIT :limit;

-- name: unpark
-- Parked items are as if admitted without a guard.
UPDATE items SET due_at = (first_attempt_at IS NOT NULL)::int WHERE seq IN (
    SELECT seq FROM items WHERE run = :run AND outcome = 'pending' AND due_at >= :never LIMIT :limit FOR UPDATE);

-- name: fresh
-- Items never tried, parked ones too, and the turn in which each was put off.
SELECT seq, coalesce(turn, -1) FROM items
WHERE run = :run AND outcome = 'pending' AND due_at IS NOT NULL AND first_attempt_at IS NULL LIMIT :limit FOR UPDATE;

-- name: skip
-- Items that a cap leaves out.
UPDATE items SET outcome = 'skipped', was = NULL, due_at = NULL, detail = :detail, recorded_at = :now WHERE seq = ANY (:seqs::bigint[]);

-- name: unskip
-- Items that a cap left out are as if never seen, but for `was`.
UPDATE items SET was = jsonb_build_object('outcome', outcome, 'detail', detail, 'http_status', http_status, 'error', error,
        'attempts', attempts, 'looks', looks, 'first_attempt_at', first_attempt_at, 'recorded_at', recorded_at, 'turn', turn),
    outcome = 'pending', due_at = 0, detail = NULL, recorded_at = NULL, turn = NULL WHERE seq IN (
    SELECT seq FROM items WHERE seq BETWEEN :first AND :last AND outcome = 'skipped' AND starts_with(detail, :detail::text)
    LIMIT :limit FOR UPDATE);

-- name: attempted_open
-- Items that were tried and have no outcome yet. What is in doubt for ever is not waited for.
SELECT seq FROM items
WHERE run = :run AND outcome IN ('pending', 'in_doubt') AND due_at > 0 AND due_at < :never AND first_attempt_at IS NOT NULL;

-- name: attempted_ends
-- How the items that were tried ended, with what the last answer was.
SELECT CASE outcome WHEN 'claimed' THEN 'in_doubt' ELSE outcome END, http_status, error, count(*) FROM items
WHERE seq BETWEEN :first AND :last AND first_attempt_at IS NOT NULL GROUP BY 1, 2, 3;

-- name: taken_count
SELECT count(*) FROM items WHERE seq BETWEEN :first AND :last AND first_attempt_at IS NOT NULL;

-- name: release
-- Claimed items whose requests never left.
UPDATE items SET outcome = 'pending', owner = NULL,
    first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq = ANY (:seqs::bigint[]) AND outcome = 'claimed' AND owner IS NOT DISTINCT FROM :owner;

-- name: park
-- Claimed items that must be listed again before they may be closed.
UPDATE items SET outcome = 'pending', owner = NULL, due_at = :never,
    first_attempt_at = CASE WHEN due_at = 0 THEN NULL ELSE first_attempt_at END
WHERE seq = ANY (:seqs::bigint[]) AND outcome = 'claimed' AND owner IS NOT DISTINCT FROM :owner;

-- name: parked_count
SELECT count(*) FROM items WHERE run = :run AND outcome = 'pending' AND due_at >= :never;

-- name: skip_parked
-- Parked items that were not listed again since.
UPDATE items SET outcome = 'skipped', was = NULL, due_at = NULL, detail = :detail, recorded_at = :now WHERE seq IN (
    SELECT seq FROM items
    WHERE run = :run AND outcome = 'pending' AND due_at >= :never AND coalesce(looked_at, 0) < :since LIMIT :limit FOR UPDATE);

-- name: park_all
-- All that is pending must be looked up before it may be closed, and so must what is in doubt once it is pending again.
UPDATE items SET looked_at = NULL, due_at = CASE WHEN outcome <> 'pending' THEN due_at
    WHEN first_attempt_at IS NULL THEN :never + due_at ELSE :never END
WHERE run = :run AND outcome IN ('pending', 'claimed', 'in_doubt') AND due_at < :never;

-- name: plan_groups
-- How the sessions of a plan stand. Invalid rows are counted elsewhere.
SELECT outcome, detail, final_status, channel, count(*), min(started_at), max(started_at) FROM items
WHERE seq BETWEEN :first AND :last AND session_id IS NOT NULL GROUP BY 1, 2, 3, 4
ORDER BY 5 DESC, outcome COLLATE "C", detail COLLATE "C" NULLS FIRST, final_status COLLATE "C" NULLS FIRST, channel COLLATE "C" NULLS FIRST;

-- name: open_count
-- How many are to be closed or verified by then, counted no further than the limit.
SELECT count(*) FROM (
    SELECT 1 FROM items
    WHERE run = :run AND outcome IN ('pending', 'claimed', 'in_doubt') AND due_at <= :by LIMIT :limit) open;

-- name: backlog
-- The same with those that are to be looked up by then.
SELECT count(*) FROM (
    SELECT 1 FROM items
    WHERE run = :run AND outcome IN ('pending', 'claimed', 'in_doubt') AND due_at <= :by
    UNION ALL
    SELECT 1 FROM items
    WHERE run = :run AND outcome = 'pending' AND due_at BETWEEN :never AND :never + :by LIMIT :limit) open;

-- name: rescue
-- What a dead process had claimed may have been sent: it is looked up before any second close.
UPDATE items SET outcome = 'in_doubt', was = NULL, owner = NULL, due_at = 1, http_status = NULL, error = 'process_died', looks = 0,
    detail = 'the process ended before the answer was recorded'
WHERE run = :run AND outcome = 'claimed' AND due_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = items.owner);

-- name: rearm_doubts
-- A resumed run looks at once at what it had given up verifying.
UPDATE items SET due_at = (first_attempt_at IS NOT NULL)::int, looks = 0 WHERE run = :run AND outcome = 'in_doubt' AND due_at IS NOT NULL;

-- name: rearm_retries
-- What is to be tried again is due at once: it may have been put off by a clock that was ahead of this one.
UPDATE items SET due_at = 1
WHERE run = :run AND outcome = 'pending' AND first_attempt_at IS NOT NULL AND due_at > 1 AND due_at < :never;

-- name: rearm_settles
-- What was put off for ever (the key could not read) gets another chance.
UPDATE items SET settle_at = 1, looks = 0 WHERE run = :run AND settle_at >= :never;

-- name: due_doubts
SELECT seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at, first_attempt_earliest
FROM items WHERE run = :run AND outcome = 'in_doubt' AND due_at > 0 AND due_at <= :now
ORDER BY due_at, seq LIMIT :limit;

-- name: due_known
-- Sessions that were never tried here, as another run has closed them.
SELECT seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at
FROM items WHERE run = :run AND outcome = 'in_doubt' AND due_at = 0
ORDER BY seq LIMIT :limit;

-- name: due_settles
-- `settle_at` of what was never looked at is when it was closed: it is due when that was before `ripe`.
SELECT seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at
FROM items WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe)
ORDER BY settle_at, looks, seq LIMIT :limit;

-- name: due_settles_by_start
-- The same in the order in which a listing has them, after one that was given before.
SELECT seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at
FROM items
WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe)
  AND (coalesce(started_at, 0), seq) > (:start, :seq)
ORDER BY coalesce(started_at, 0), seq LIMIT :limit;

-- name: due_settle_spans
-- In how many spans of time of this length the sessions that are due have started.
SELECT count(DISTINCT coalesce(started_at, 0) / :span::bigint) FROM items
WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe);

-- name: due_settle_count
-- How many are due, counted no further than the limit.
SELECT count(*) FROM (
    SELECT 1 FROM items WHERE run = :run AND settle_at <= :now AND (looks > 0 OR settle_at <= :ripe) LIMIT :limit) due;

-- name: settles_ahead
-- When the first and the last of what is not settled is due; `wait` is the age of a first look.
SELECT min(due), max(due) FROM (
    SELECT settle_at + CASE looks WHEN 0 THEN :wait::bigint ELSE 0 END AS due
    FROM items WHERE run = :run AND settle_at < :never) ahead;

-- name: doubt_nones
-- Verdicts of `none` without runs that were believed when their close was younger than `age`: they are looked at again.
UPDATE items SET eval_settled = 0, settled_at = NULL, settle_at = recorded_at, looks = 0
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') AND eval_settled = 1
  AND eval_status = 'none' AND eval_total = 0 AND looked_at - recorded_at < :age;

-- name: next_due
-- When the next pending, doubtful and unsettled item is due; NULL where there is none.
SELECT (SELECT due_at FROM items
        WHERE run = :run AND outcome = 'pending' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1),
       (SELECT due_at FROM items
        WHERE run = :run AND outcome = 'in_doubt' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1),
       (SELECT settle_at FROM items WHERE run = :run AND settle_at IS NOT NULL ORDER BY settle_at LIMIT 1);

-- name: change
-- What became of items, as a JSON array of arrays. A NULL outcome keeps the outcome: it is a look at an item that has one.
-- An item to be attempted again is what it was until a request for it has been answered.
-- What is closed stays closed, and what somebody else has claimed is his. Of a worker that was taken for dead ("late") only
-- closes that were acknowledged count: whatever else it has to say was found out by others, or will be.
UPDATE items SET
    was = CASE WHEN coalesce(c.outcome, 'pending') = 'pending' AND c.final_status IS NULL THEN items.was END,
    outcome = coalesce(c.outcome, items.outcome), due_at = c.due_at,
    owner = CASE WHEN c.outcome IS NULL THEN items.owner END,
    detail = CASE WHEN c.outcome IS NULL THEN coalesce(c.detail, items.detail) ELSE c.detail END,
    error = CASE WHEN c.outcome IS NULL THEN items.error ELSE c.error END,
    http_status = CASE WHEN c.outcome IS NULL THEN items.http_status ELSE c.http_status END,
    attempts = coalesce(c.attempts, items.attempts),
    first_attempt_at = CASE WHEN c.outcome = 'skipped' AND items.attempts = 0 THEN NULL -- claimed, and then left alone
        ELSE coalesce(c.first_attempt_at, items.first_attempt_at) END,
    first_attempt_earliest = coalesce(items.first_attempt_earliest, c.earliest),
    looks = c.looks, looked_at = coalesce(c.looked_at, items.looked_at), recorded_at = CASE WHEN c.outcome IS NULL THEN items.recorded_at ELSE :now::bigint END,
    eval_settled = c.settled, settle_at = c.settle_at, settled_at = CASE WHEN c.settled = 1 THEN :now::bigint END,
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
    SELECT (v ->> 0)::bigint AS seq, v ->> 1 AS outcome, (v ->> 2)::bigint AS due_at, v ->> 3 AS detail,
           v ->> 4 AS error, (v ->> 5)::integer AS http_status, (v ->> 6)::integer AS attempts,
           (v ->> 7)::bigint AS first_attempt_at, (v ->> 8)::integer AS looks, (v ->> 12)::bigint AS earliest, (v ->> 9)::integer AS settled,
           (v ->> 10)::bigint AS settle_at, (v ->> 11)::bigint AS looked_at, (v ->> 13)::bigint AS started_at,
           (v ->> 14)::bigint AS closed_at, v ->> 15 AS final_status, v ->> 16 AS eval_status,
           (v ->> 17)::integer AS total, (v ->> 18)::integer AS succeeded, (v ->> 19)::integer AS failed,
           (v ->> 20)::integer AS pending, (v ->> 21)::integer AS critical_total,
           (v ->> 22)::integer AS critical_succeeded, (v ->> 23)::integer AS critical_failed,
           (v ->> 24)::integer AS critical_pending, (v ->> 25)::bigint AS updated_at, v ->> 26 AS channel
    FROM jsonb_array_elements(:changes::jsonb) AS change(v)
) AS c
WHERE items.seq = c.seq AND CASE
    WHEN c.outcome IN ('closed', 'already_closed') THEN items.outcome NOT IN ('closed', 'already_closed') OR NOT :late
    WHEN :late THEN false
    WHEN c.outcome IS NULL THEN true
    WHEN items.outcome = 'claimed' THEN items.owner IS NOT DISTINCT FROM :owner
    ELSE items.outcome NOT IN ('closed', 'already_closed') END;

-- name: closed_by
-- What these items were found closed by, as far as the ledger knows: a close of another run, or one that it may have sent.
-- Times of the same close are the same, but for how an answer rounds them.
UPDATE items SET detail = (
    SELECT CASE o.outcome WHEN 'closed' THEN 'closed by run ' || r.name || ' of this ledger at '
               ELSE 'run ' || r.name || ' of this ledger has sent a close that it has not verified; closed at ' END
           || instant(coalesce(o.closed_at, items.closed_at, o.recorded_at, o.first_attempt_at))
    FROM (
        SELECT run, outcome, closed_at, recorded_at, first_attempt_at FROM items o
        WHERE o.session_id = items.session_id AND o.outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed') OFFSET 0) o
    JOIN runs r ON r.id = o.run
    WHERE r.host = (SELECT host FROM runs WHERE id = items.run) AND r.id <> items.run
      AND (o.outcome = 'closed' OR (o.outcome IN ('claimed', 'in_doubt') AND o.first_attempt_at IS NOT NULL))
      AND coalesce(abs(o.closed_at - items.closed_at) < 5000, true)
    ORDER BY o.outcome <> 'closed', r.id DESC LIMIT 1)
WHERE seq = ANY (:seqs::bigint[]) AND outcome = 'already_closed' AND detail IS NULL;

-- name: attempts
-- Exchanges about one item each, as a JSON array of arrays.
INSERT INTO attempts (run, item, at, kind, http_status, error, ms)
SELECT :run, (v ->> 0)::bigint, (v ->> 1)::bigint, v ->> 2, (v ->> 3)::integer, v ->> 4, (v ->> 5)::integer
FROM jsonb_array_elements(:attempts::jsonb) AS attempt(v);

-- name: page
-- A listing page; `RETURNING seq` lets the items it told of refer to it.
INSERT INTO attempts (run, at, kind, http_status, error, ms) VALUES (:run, :at, :kind, :http_status, :error, :ms)
RETURNING seq;

-- name: sightings
INSERT INTO sightings (item, attempt) SELECT item, :attempt FROM unnest(:items::bigint[]) AS item ON CONFLICT DO NOTHING;

-- name: outcome_counts
-- What is to be attempted again counts as what it was; how many of each these are, too.
SELECT CASE outcome WHEN 'claimed' THEN 'in_doubt' WHEN 'pending' THEN coalesce(was ->> 'outcome', outcome) ELSE outcome END,
       count(*), count(*) FILTER (WHERE outcome = 'pending' AND was IS NOT NULL)
FROM items WHERE seq BETWEEN :first AND :last GROUP BY 1;

-- name: eval_counts
-- Verdicts of the sessions that are closed, how many of them are not final, and how many sessions were seen open again.
-- Then the sums of their runs.
SELECT eval_status, count(*), count(*) FILTER (WHERE eval_settled = 0), count(*) FILTER (WHERE final_status = ANY (:live::text[])),
       coalesce(sum(eval_total), 0)::bigint, coalesce(sum(eval_succeeded), 0)::bigint, coalesce(sum(eval_failed), 0)::bigint,
       coalesce(sum(eval_pending), 0)::bigint, coalesce(sum(critical_total), 0)::bigint, coalesce(sum(critical_succeeded), 0)::bigint,
       coalesce(sum(critical_failed), 0)::bigint, coalesce(sum(critical_pending), 0)::bigint
FROM items
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') GROUP BY 1;

-- name: closed_sample
-- Closed sessions picked at random, each as likely as any other.
SELECT final_status, eval_status, eval_settled = 1, seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at
FROM items WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed')
ORDER BY random() LIMIT :limit;

-- name: closed_by_start
-- Closed sessions in the order in which a listing has them, after one that was given before.
SELECT final_status, eval_status, eval_settled = 1, seq, session_id::text, reason, attempts, first_attempt_at, http_status, error, looks, started_at, closed_at,
       recorded_at, looked_at
FROM items WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed')
  AND (coalesce(started_at, 0), seq) > (:start, :seq)
ORDER BY coalesce(started_at, 0), seq LIMIT :limit;

-- name: invalid_kinds
SELECT split_part(detail, ': ', 1), count(*), min(line) FROM items
WHERE run = :run AND session_id IS NULL GROUP BY 1 ORDER BY 2 DESC, 3 LIMIT :limit;

-- name: request_counts
SELECT kind, count(*), count(*) FILTER (WHERE http_status = 429) FROM attempts WHERE run = :run GROUP BY 1;

-- name: retried_count
-- Closes sent beyond each session's first. What found no connection was not sent; older versions called all of that `connection_failed`.
SELECT coalesce(sum(n - 1), 0)::bigint FROM
    (SELECT count(*) AS n FROM attempts WHERE run = :run AND kind = 'close' AND (error IS NULL OR error <> 'connection_failed' AND substr(error, 1, 7) <> 'unsent_')
     GROUP BY item HAVING count(*) > 1) sent;

-- name: retry
-- Items to be attempted again, with a clean slate; what they were is in `was`, and what was sent for them in `attempts`.
UPDATE items SET was = jsonb_build_object('outcome', outcome, 'detail', detail, 'http_status', http_status, 'error', error,
        'attempts', attempts, 'looks', looks, 'first_attempt_at', first_attempt_at, 'recorded_at', recorded_at, 'turn', turn),
    outcome = 'pending', due_at = CASE WHEN :parked THEN :never ELSE (first_attempt_at IS NOT NULL)::int END,
    attempts = 0, looks = 0, detail = NULL, turn = NULL
WHERE seq BETWEEN :first AND :last AND outcome IN ('failed', 'rejected', 'not_found');

-- name: resettle
-- All verdicts that are not final are looked at again, as if for the first time.
UPDATE items SET settle_at = recorded_at, looks = 0
WHERE seq BETWEEN :first AND :last AND outcome IN ('closed', 'already_closed') AND eval_settled = 0;

-- name: item_by_session
SELECT seq FROM items WHERE run = :run AND session_id = :session_id::uuid;

-- name: session_anywhere
-- The item of one session in each run, the newest first: a search for each run, which spares every row an index of its own.
SELECT i.seq FROM runs r CROSS JOIN LATERAL (
    SELECT seq FROM items WHERE run = r.id AND session_id = :session::uuid LIMIT 1) i
ORDER BY r.id DESC LIMIT :limit;

-- name: invalid_anywhere
-- Invalid rows by what stood in them, the newest first.
SELECT seq FROM items WHERE text = :text AND session_id IS NULL ORDER BY seq DESC LIMIT :limit;

-- name: attempts_of
SELECT at, kind, http_status, error, ms FROM attempts WHERE item = :item
UNION ALL
SELECT a.at, a.kind, a.http_status, a.error, a.ms FROM sightings s JOIN attempts a ON a.seq = s.attempt WHERE s.item = :item
ORDER BY 1;

-- name: results
-- The next rows of the results that were chosen, in the order of the source, each after its item's number. An empty
-- array chooses all.
SELECT seq, run, session_id, outcome, detail, final_status, eval_status, eval_settled, reason, attempts, http_status, error,
       closed_at, first_attempt_at, recorded_at, settled_at, eval_total, eval_succeeded, eval_failed, eval_pending,
       critical_total, critical_succeeded, critical_failed, critical_pending, line, job
FROM item_results WHERE run_id = :run AND seq > :after
  AND (cardinality(:outcomes::text[]) = 0 OR outcome = ANY (:outcomes::text[]))
  AND (cardinality(:eval_statuses::text[]) = 0 OR eval_status = ANY (:eval_statuses::text[]))
ORDER BY seq LIMIT :limit;

-- name: results_of
SELECT seq, run, session_id, outcome, detail, final_status, eval_status, eval_settled, reason, attempts, http_status, error,
       closed_at, first_attempt_at, recorded_at, settled_at, eval_total, eval_succeeded, eval_failed, eval_pending,
       critical_total, critical_succeeded, critical_failed, critical_pending, line, job
FROM item_results WHERE seq = ANY (:seqs::bigint[]);

-- name: written
-- This transaction's mark, and its number; earlier marks that nobody asks for any more are gone.
WITH gone AS (DELETE FROM written WHERE mark = ANY (:done::bigint[]))
INSERT INTO written (mark) VALUES (:mark) RETURNING pg_current_xact_id()::text;

-- name: is_written
SELECT true FROM written WHERE mark = :mark;

-- name: written_forgotten
-- Marks of processes that have gone.
DELETE FROM written WHERE at < now() - interval '1 day';
