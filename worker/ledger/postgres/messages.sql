-- The statements of the queues that a ledger holds, each named by the line above it.

-- name: messages_pushed
INSERT INTO messages (queue, body, due_at) SELECT :queue, body, :now FROM unnest(:bodies::bytea[]) AS body;

-- name: messages_any_due
SELECT EXISTS (SELECT 1 FROM messages WHERE queue = :queue AND due_at <= :now);

-- name: messages_fetched
-- What another process is just fetching is passed over.
WITH due AS MATERIALIZED (
    SELECT seq, due_at FROM messages WHERE queue = :queue AND due_at <= :now
    ORDER BY due_at, seq LIMIT :limit FOR UPDATE SKIP LOCKED)
UPDATE messages SET due_at = :until, held = true, deliveries = deliveries + 1
FROM due WHERE messages.seq = due.seq RETURNING due.due_at, messages.seq, deliveries, body;

-- name: messages_acknowledged
DELETE FROM messages WHERE seq = ANY (:seqs::bigint[]) AND due_at IS NOT NULL;

-- name: messages_put_back
-- Numbers and deliveries. What was given out again since is somebody else's.
UPDATE messages SET due_at = :due, held = false
FROM unnest(:seqs::bigint[], :numbers::integer[]) AS given (seq, number)
WHERE messages.seq = given.seq AND deliveries = given.number AND due_at IS NOT NULL;

-- name: messages_buried
UPDATE messages SET due_at = NULL, held = false, why = :why, dead_at = :now
WHERE seq = ANY (:seqs::bigint[]) AND due_at IS NOT NULL;

-- name: messages_counted
SELECT (SELECT count(*) FROM messages WHERE queue = :queue AND due_at IS NOT NULL),
       (SELECT count(*) FROM messages WHERE queue = :queue AND held AND due_at > :now),
       (SELECT count(*) FROM messages WHERE queue = :queue AND dead_at IS NOT NULL);

-- name: messages_dead
SELECT body, why FROM messages WHERE queue = :queue AND dead_at IS NOT NULL ORDER BY dead_at DESC, seq DESC LIMIT :limit;
