-- The statements of the queues that a ledger holds, each named by the line above it.

-- name: messages_pushed
INSERT INTO messages (queue, body, due_at) VALUES (:queue, :body, :now);

-- name: messages_any_due
SELECT EXISTS (SELECT 1 FROM messages INDEXED BY messages_due WHERE queue = :queue AND due_at <= :now);

-- name: messages_fetched
UPDATE messages SET due_at = :until, held = 1, deliveries = deliveries + 1 WHERE seq IN (
    SELECT seq FROM messages INDEXED BY messages_due WHERE queue = :queue AND due_at <= :now ORDER BY due_at, seq LIMIT :limit)
RETURNING seq, deliveries, body;

-- name: messages_acknowledged
DELETE FROM messages WHERE seq IN (SELECT value FROM json_each(:seqs)) AND due_at IS NOT NULL;

-- name: messages_put_back
-- A JSON array of pairs: number and delivery. What was given out again since is somebody else's.
UPDATE messages SET due_at = :due, held = 0 WHERE due_at IS NOT NULL
  AND (seq, deliveries) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:deliveries));

-- name: messages_buried
UPDATE messages SET due_at = NULL, held = 0, why = :why, dead_at = :now
WHERE seq IN (SELECT value FROM json_each(:seqs)) AND due_at IS NOT NULL;

-- name: messages_counted
SELECT (SELECT count(*) FROM messages INDEXED BY messages_due WHERE queue = :queue AND due_at IS NOT NULL),
       (SELECT count(*) FROM messages INDEXED BY messages_held WHERE queue = :queue AND held = 1 AND due_at > :now),
       (SELECT count(*) FROM messages INDEXED BY messages_dead WHERE queue = :queue AND dead_at IS NOT NULL);

-- name: messages_dead
SELECT body, why FROM messages INDEXED BY messages_dead WHERE queue = :queue AND dead_at IS NOT NULL
ORDER BY dead_at DESC, seq DESC LIMIT :limit;
