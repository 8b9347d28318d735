-- Up to which item and turn a run may have claimed in commits that the file has lost: those are looked up first.
CREATE TABLE lost (run INTEGER PRIMARY KEY REFERENCES runs (id), turn INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
