-- The schema of the file beside the ledger: one budget per host and organisation, which says who may send when.
-- Here alone instants are REAL: seconds since the epoch, UTC.
CREATE TABLE IF NOT EXISTS budgets (
    host         TEXT NOT NULL,
    organisation TEXT NOT NULL,               -- empty where one ledger serves one organisation
    due          REAL NOT NULL DEFAULT 0,     -- up to there every permit has been given out (GCRA)
    settle_due   REAL NOT NULL DEFAULT 0,     -- the same for settling, while there is something to close
    closing_at   REAL NOT NULL DEFAULT 0,     -- when closing asked last
    cut_rate     REAL,                        -- requests/s right after the last cut; NULL: never cut
    peak         REAL,                        -- requests/s right before it
    cut_at       REAL NOT NULL DEFAULT 0,
    held_at      REAL NOT NULL DEFAULT 0,     -- when the last wait began for which a 429 asked
    held_until   REAL NOT NULL DEFAULT 0,
    holds        INTEGER NOT NULL DEFAULT 0,  -- such waits in a row
    down_since   REAL,                        -- NULL: the API answers
    probe_at     REAL NOT NULL DEFAULT 0,
    probes       INTEGER NOT NULL DEFAULT 0,
    set_rate     REAL,                        -- requests/s, a person's word
    paused       INTEGER NOT NULL DEFAULT 0,
    set_by       TEXT,                        -- the run that these two were said to
    seen_at      REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (host, organisation)
) STRICT, WITHOUT ROWID;
