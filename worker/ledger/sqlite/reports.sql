-- What reports read. Each statement is named by the line above it.

-- name: note_pace
INSERT INTO paces (run, at, allowed, waiting) VALUES (:run, :at, :allowed, :waiting) ON CONFLICT DO UPDATE SET
    allowed = excluded.allowed, waiting = excluded.waiting;

-- name: note_made
INSERT INTO made_files (run, kind, sha256) VALUES (:run, :kind, :sha256) ON CONFLICT DO NOTHING;

-- name: has_made
SELECT 1 FROM made_files WHERE run = :run AND kind = :kind AND sha256 = :sha256;

-- name: paces
SELECT at, allowed, waiting FROM paces WHERE run = :run ORDER BY at;

-- name: traffic
-- The exchanges of a run, counted by kind and span of time.
SELECT at / :width * :width, kind, count(*), coalesce(sum(http_status = 429), 0),
       sum(http_status IS NULL OR http_status >= 500), max(seq)
FROM attempts INDEXED BY attempts_run WHERE run = :run AND seq > :after GROUP BY 1, 2 ORDER BY 1, 2;

-- name: latencies
-- How many answers took how long. There are only so many different milliseconds.
SELECT kind, ms, count(*) FROM attempts INDEXED BY attempts_run
WHERE run = :run AND http_status IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2;

-- name: causes
-- Why sessions were not closed, or what was odd about those that were, with the first and the last of each cause.
WITH causes AS (
    SELECT outcome, http_status, error,
           CASE outcome WHEN 'invalid' THEN substr(detail, 1, instr(detail || ': ', ': ') - 1) ELSE detail END AS detail,
           count(*) AS count, min(seq) AS first, max(seq) AS last
    FROM item_results
    WHERE seq BETWEEN :first AND :last AND (outcome NOT IN ('closed', 'already_closed', 'pending') OR detail IS NOT NULL)
    GROUP BY 1, 2, 3, 4 ORDER BY count DESC, first LIMIT :limit)
SELECT c.outcome, c.http_status, c.error, c.detail, c.count, f.session_id, f.line, l.session_id, l.line
FROM causes c JOIN item_results f ON f.seq = c.first JOIN item_results l ON l.seq = c.last ORDER BY c.count DESC, c.first;

-- name: wanting
-- The rows that a person should look at, the gravest first.
SELECT seq FROM (
    SELECT seq, CASE outcome WHEN 'failed' THEN 1 WHEN 'rejected' THEN 2 WHEN 'in_doubt' THEN 3
                WHEN 'not_found' THEN 4 WHEN 'invalid' THEN 5 WHEN 'pending' THEN 8
                WHEN 'skipped' THEN NULL ELSE CASE WHEN detail IS NOT NULL THEN 6 WHEN eval_settled = 0 THEN 7 END END AS rank
    FROM item_results WHERE seq BETWEEN :first AND :last)
WHERE rank IS NOT NULL ORDER BY rank, seq LIMIT :limit;
