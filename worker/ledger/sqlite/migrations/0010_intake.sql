CREATE TABLE intake_queues (                -- queues that have given sessions to runs of this ledger
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE intake_sessions (              -- every session that a queue has ever given: it is looked up when it comes again
    queue      INTEGER NOT NULL,
    session_id BLOB NOT NULL,
    at         INTEGER NOT NULL,            -- when it was last given without a key of its own; 0: never
    PRIMARY KEY (queue, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE intake_keys (                  -- keys that messages bore, until they are too old to make a duplicate
    queue INTEGER NOT NULL,
    key   TEXT NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX intake_keys_at ON intake_keys (at);
