CREATE TABLE made_files (                      -- exports and reports that were written: they may be replaced by newer ones
    run    bigint NOT NULL REFERENCES runs (id),
    kind   text NOT NULL,
    sha256 text NOT NULL,                       -- of the whole file: one that somebody has changed is another file
    PRIMARY KEY (run, kind, sha256)
);
