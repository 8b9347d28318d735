-- The schema of the file beside the ledger: one budget per host and organisation, which says who may send when.
-- Here alone instants are REAL: seconds since the epoch, UTC.
CREATE TABLE IF NOT EXISTS budgets (
    host         TEXT NOT NULL,
    organisation TEXT NOT NULL,               -- empty where one ledger serves one organisation
    due          REAL NOT NULL DEFAULT 0,     -- up to there every permit has been given out (GCRA)
    settle_due   REAL NOT NULL DEFAULT 0,     -- the same for settling, while there is something to close
    closing_at   REAL NOT NULL DEFAULT 0,     -- when closing asked last
    held_at      REAL NOT NULL DEFAULT 0,     -- when the last wait began for which a 429 asked
    held_until   REAL NOT NULL DEFAULT 0,
    holds        INTEGER NOT NULL DEFAULT 0,  -- such waits in a row
    down_since   REAL,                        -- NULL: the API answers
    probe_at     REAL NOT NULL DEFAULT 0,
    probes       INTEGER NOT NULL DEFAULT 0,
    set_rate     REAL,                        -- requests/s, a person's word
    paused       INTEGER NOT NULL DEFAULT 0,
    set_by       TEXT,                        -- the run that a person's word was said to
    seen_at      REAL NOT NULL DEFAULT 0,
    set_tolerated REAL,                       -- a share of 429s, a person's word; 0: yield
    set_floor    REAL,                        -- requests/s, a person's word
    law          TEXT NOT NULL DEFAULT '{}',  -- what is known of the rate that leaves production its room, as JSON
    PRIMARY KEY (host, organisation)
) STRICT, WITHOUT ROWID;
-- What each run has claimed, so that a ledger which has lost its last commits is known as one.
CREATE TABLE IF NOT EXISTS claims (
    run  INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    turn INTEGER NOT NULL,                    -- of its host, the last one in which it has claimed
    seq  INTEGER NOT NULL                     -- the highest item that it has claimed
) STRICT;
