CREATE TABLE made_files (                      -- exports and reports that were written: they may be replaced by newer ones
    run    INTEGER NOT NULL REFERENCES runs (id),
    kind   TEXT NOT NULL,
    sha256 TEXT NOT NULL,                       -- of the whole file: one that somebody has changed is another file
    PRIMARY KEY (run, kind, sha256)
) STRICT, WITHOUT ROWID;
