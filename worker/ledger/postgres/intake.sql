-- The statements of what queues have given, each named by the line above it.
-- `rows` is a JSON array of pairs: the digits of the session (null: a malformed message), and the key (null: the session is it).

-- name: intake_queue_made
INSERT INTO intake_queues (name) VALUES (:name) ON CONFLICT DO NOTHING;

-- name: intake_queue
-- Locked: of two processes that take in the same message, one sees what the other did.
SELECT id FROM intake_queues WHERE name = :name FOR UPDATE;

-- name: intake_recent
-- Which of the rows repeat a key that was given lately, by their place from 0.
SELECT place - 1 FROM jsonb_array_elements(:rows::jsonb) WITH ORDINALITY AS w (v, place) WHERE CASE WHEN v ->> 1 IS NULL
    THEN EXISTS (SELECT 1 FROM intake_sessions s WHERE s.queue = :queue AND s.session_id = (v ->> 0)::uuid AND s.at >= :since)
    ELSE EXISTS (SELECT 1 FROM intake_keys k WHERE k.queue = :queue AND k.key = v ->> 1 AND k.at >= :since) END;

-- name: intake_session
-- A session given with a key of its own does not count as given by its id.
INSERT INTO intake_sessions (queue, session_id, at)
SELECT :queue, (v ->> 0)::uuid, max(CASE WHEN v ->> 1 IS NULL THEN :now::bigint ELSE 0 END)
FROM jsonb_array_elements(:rows::jsonb) AS w (v) WHERE v ->> 0 IS NOT NULL GROUP BY 2
ON CONFLICT (queue, session_id) DO UPDATE SET at = greatest(intake_sessions.at, excluded.at);

-- name: intake_key
INSERT INTO intake_keys (queue, key, at)
SELECT DISTINCT :queue::bigint, v ->> 1, :now::bigint FROM jsonb_array_elements(:rows::jsonb) AS w (v) WHERE v ->> 1 IS NOT NULL
ON CONFLICT (queue, key) DO UPDATE SET at = excluded.at;

-- name: intake_forgotten
DELETE FROM intake_keys WHERE (queue, key) IN (SELECT queue, key FROM intake_keys WHERE at < :before ORDER BY at LIMIT :limit);

-- name: intake_done
-- What became of sessions that the run holds and is done with; `rows` as below.
SELECT outcome FROM items
WHERE run = :run AND due_at IS NULL
  AND session_id = ANY (ARRAY(SELECT (v ->> 0)::uuid FROM jsonb_array_elements(:rows::jsonb) AS w (v)));

-- name: intake_reopened
-- They are as if never tried, and in doubt until they were looked up; what was sent for them is in `attempts`.
-- `rows`: digits, due time and reason.
UPDATE items SET outcome = 'in_doubt', was = NULL, due_at = w.due, reason = w.reason, detail = 'given again by its queue: looked up first', http_status = NULL, error = NULL,
    attempts = 0, first_attempt_at = NULL, looks = 0, looked_at = NULL, recorded_at = NULL, eval_settled = 0,
    settle_at = NULL, settled_at = NULL
FROM (SELECT DISTINCT ON (1) (v ->> 0)::uuid AS session_id, (v ->> 1)::bigint AS due, v ->> 2 AS reason
      FROM jsonb_array_elements(:rows::jsonb) WITH ORDINALITY AS t (v, place) ORDER BY 1, place) w
WHERE items.run = :run AND items.session_id = w.session_id AND items.due_at IS NULL;
