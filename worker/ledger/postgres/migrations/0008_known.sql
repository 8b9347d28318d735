ALTER TABLE runs ADD COLUMN host text;       -- the API's host, written in one way; NULL: made by an older version and not named yet
-- Of what was claimed, or put off for what another run has done: in which turn. What that run did in a later one is news.
ALTER TABLE items ADD COLUMN turn bigint;
CREATE TABLE hosts (                         -- whose sessions the runs of this ledger close
    name text PRIMARY KEY,
    turn bigint NOT NULL                     -- how often sessions were claimed there: all runs on a host take turns
) WITH (fillfactor = 10);                    -- written at each claim: each version fits on the same page
-- What a queue had given again was parked, to be looked up before its close.
UPDATE items SET outcome = 'in_doubt', due_at = due_at - 4611686018427387904
WHERE outcome = 'pending' AND due_at >= 4611686018427387904 AND run IN (SELECT id FROM runs WHERE (options::json ->> 'from_queue') = 'true');
