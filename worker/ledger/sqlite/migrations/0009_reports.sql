ALTER TABLE runs ADD COLUMN made_by TEXT;       -- login and host of the process that made the run
ALTER TABLE runs ADD COLUMN source_sha256 TEXT; -- of the bytes of the source, once it was read to its end
CREATE TABLE paces (                            -- the rate that was allowed, each time that it changed
    run     INTEGER NOT NULL REFERENCES runs (id),
    at      INTEGER NOT NULL,
    allowed REAL NOT NULL,                      -- requests/s
    waiting TEXT,                               -- what held all requests up; NULL: nothing
    PRIMARY KEY (run, at)
) STRICT, WITHOUT ROWID;
