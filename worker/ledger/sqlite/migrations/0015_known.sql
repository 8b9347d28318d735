ALTER TABLE runs ADD COLUMN host TEXT;      -- the API's host, written in one way; NULL: made by an older version and not named yet
-- Of what was claimed, or put off for what another run has done: in which turn. What that run did in a later one is news.
ALTER TABLE items ADD COLUMN turn INTEGER;
CREATE TABLE hosts (                        -- whose sessions the runs of this ledger close
    name TEXT PRIMARY KEY,
    turn INTEGER NOT NULL                   -- how often sessions were claimed there: all runs on a host take turns
) STRICT, WITHOUT ROWID;
-- What a queue had given again was parked, to be looked up before its close.
UPDATE items SET outcome = 'in_doubt', due_at = due_at - 4611686018427387904
WHERE outcome = 'pending' AND due_at >= 4611686018427387904 AND run IN (SELECT id FROM runs WHERE json_extract(options, '$.from_queue') = 1);
