-- The statements of what queues have given, each named by the line above it.
-- `rows` is a JSON array of pairs: the digits of the session (NULL: a malformed message), and the key (NULL: the session is it).

-- name: intake_queue_made
INSERT INTO intake_queues (name) VALUES (:name) ON CONFLICT DO NOTHING;

-- name: intake_queue
SELECT id FROM intake_queues WHERE name = :name;

-- name: intake_recent
-- Which of the rows repeat a key that was given lately, by their place.
SELECT json_group_array(w.key) FROM json_each(:rows) w WHERE CASE WHEN w.value ->> 1 IS NULL
    THEN EXISTS (SELECT 1 FROM intake_sessions s WHERE s.queue = :queue AND s.session_id = unhex(w.value ->> 0) AND s.at >= :since)
    ELSE EXISTS (SELECT 1 FROM intake_keys k WHERE k.queue = :queue AND k.key = w.value ->> 1 AND k.at >= :since) END;

-- name: intake_session
-- A session given with a key of its own does not count as given by its id.
INSERT INTO intake_sessions (queue, session_id, at)
SELECT :queue, unhex(value ->> 0), iif(value ->> 1 IS NULL, :now, 0) FROM json_each(:rows) WHERE value ->> 0 IS NOT NULL
ON CONFLICT DO UPDATE SET at = max(at, excluded.at);

-- name: intake_key
INSERT INTO intake_keys (queue, key, at)
SELECT :queue, value ->> 1, :now FROM json_each(:rows) WHERE value ->> 1 IS NOT NULL
ON CONFLICT DO UPDATE SET at = excluded.at;

-- name: intake_forgotten
DELETE FROM intake_keys WHERE (queue, key) IN (SELECT queue, key FROM intake_keys WHERE at < :before ORDER BY at LIMIT :limit);

-- name: intake_position
SELECT rows_read FROM runs WHERE id = :run;

-- name: intake_done
-- What became of sessions that the run holds and is done with; `rows` as below.
SELECT outcome FROM items INDEXED BY items_session
WHERE run = :run AND session_id IN (SELECT unhex(value ->> 0) FROM json_each(:rows)) AND due_at IS NULL;

-- name: intake_reopened
-- They are as if never tried, and in doubt until they were looked up; what was sent for them is in `attempts`.
-- `rows`: digits, due time and reason.
UPDATE items SET outcome = 'in_doubt', was = NULL, due_at = w.due, reason = w.reason, detail = 'given again by its queue: looked up first', http_status = NULL, error = NULL,
    attempts = 0, first_attempt_at = NULL, looks = 0, looked_at = NULL, recorded_at = NULL, eval_settled = 0,
    settle_at = NULL, settled_at = NULL
FROM (SELECT unhex(value ->> 0) AS session_id, value ->> 1 AS due, value ->> 2 AS reason FROM json_each(:rows)) w
WHERE items.run = :run AND items.session_id = w.session_id AND items.due_at IS NULL;
