-- Instants are integers: milliseconds since the epoch, UTC.

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,       -- what people type
    job         TEXT NOT NULL DEFAULT '',   -- the configured job, empty for an ad-hoc run
    source      TEXT NOT NULL,              -- what a person calls the source
    location    TEXT,                       -- where it can be read again; NULL for a stream
    source_stat TEXT,                       -- size and time of change of the source when it was opened
    options     TEXT NOT NULL,              -- the settings of the run as JSON, without secrets
    state       TEXT NOT NULL DEFAULT 'running',
    why         TEXT,
    rows_read   INTEGER NOT NULL DEFAULT 0, -- committed together with the rows
    duplicates  INTEGER NOT NULL DEFAULT 0,
    source_done INTEGER NOT NULL DEFAULT 0, -- 1 once the source was read to its end
    digest      TEXT,                       -- of the rows read so far: proves that a re-opened source is the same
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    seconds     REAL NOT NULL DEFAULT 0     -- time spent working, over all processes that worked on the run
) STRICT;

CREATE TABLE items (
    seq              INTEGER PRIMARY KEY,   -- run << 40 | number of the row: a run's items lie together, in order
    run              INTEGER NOT NULL REFERENCES runs (id),
    session_id       BLOB,                  -- the UUID's 16 bytes; NULL for an invalid row
    line             INTEGER,
    reason           TEXT,
    text             TEXT,                  -- what stood in an invalid row, cut
    outcome          TEXT NOT NULL,         -- the outcomes of `results`, and 'claimed': taken, answer not recorded yet
    due_at           INTEGER,               -- pending, claimed, in_doubt: not before; 0 = never tried. Else NULL
    detail           TEXT,
    http_status      INTEGER,               -- of the last answer to a close
    error            TEXT,                  -- a code, never the text of an answer
    attempts         INTEGER NOT NULL DEFAULT 0, -- closes sent, throttled ones not counted
    first_attempt_at INTEGER,               -- written before the first close leaves
    looks            INTEGER NOT NULL DEFAULT 0, -- look-ups since the last change of outcome
    recorded_at      INTEGER,
    started_at       INTEGER,
    closed_at        INTEGER,
    final_status     TEXT,
    eval_status      TEXT,
    eval_settled     INTEGER NOT NULL DEFAULT 0,
    settle_at        INTEGER,               -- when to look at the evaluations again; NULL = not at all
    settled_at       INTEGER,
    eval_total INTEGER, eval_succeeded INTEGER, eval_failed INTEGER, eval_pending INTEGER,
    critical_total INTEGER, critical_succeeded INTEGER, critical_failed INTEGER, critical_pending INTEGER
) STRICT;

CREATE UNIQUE INDEX items_session ON items (run, session_id);
-- Only what is still to be done is in these two, so they stay small and finding work stays cheap.
CREATE INDEX items_open ON items (run, outcome, due_at, seq) WHERE due_at IS NOT NULL;
CREATE INDEX items_unsettled ON items (run, settle_at, seq) WHERE settle_at IS NOT NULL;

CREATE TABLE attempts (                     -- every HTTP exchange, once
    seq         INTEGER PRIMARY KEY,
    run         INTEGER NOT NULL REFERENCES runs (id),
    item        INTEGER,                    -- NULL for a listing page
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,              -- close, read, list
    http_status INTEGER,                    -- NULL: no answer
    error       TEXT,
    ms          INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_item ON attempts (item) WHERE item IS NOT NULL;
CREATE INDEX attempts_run ON attempts (run);

CREATE TABLE sightings (                    -- which items a listing page told of
    item    INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (item, attempt)
) STRICT, WITHOUT ROWID;

CREATE VIEW item_results AS
SELECT
    i.seq, r.name AS run,
    CASE WHEN i.session_id IS NULL THEN i.text ELSE
        lower(substr(hex(i.session_id), 1, 8) || '-' || substr(hex(i.session_id), 9, 4) || '-'
           || substr(hex(i.session_id), 13, 4) || '-' || substr(hex(i.session_id), 17, 4) || '-'
           || substr(hex(i.session_id), 21)) END AS session_id,
    CASE i.outcome WHEN 'claimed' THEN 'in_doubt' ELSE i.outcome END AS outcome,
    i.detail, i.final_status, i.eval_status, i.eval_settled, i.reason, i.attempts, i.http_status, i.error,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.closed_at / 1000.0, 'unixepoch') AS closed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.first_attempt_at / 1000.0, 'unixepoch') AS first_attempt_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.recorded_at / 1000.0, 'unixepoch') AS recorded_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.settled_at / 1000.0, 'unixepoch') AS settled_at,
    i.eval_total, i.eval_succeeded, i.eval_failed, i.eval_pending,
    i.critical_total, i.critical_succeeded, i.critical_failed, i.critical_pending,
    i.line, nullif(r.job, '') AS job
FROM items i JOIN runs r ON r.id = i.run;

CREATE VIEW results AS
SELECT run, session_id, outcome, detail, final_status, eval_status, eval_settled, reason, attempts, http_status, error,
       closed_at, first_attempt_at, recorded_at, settled_at, eval_total, eval_succeeded, eval_failed, eval_pending,
       critical_total, critical_succeeded, critical_failed, critical_pending, line, job
FROM item_results;
