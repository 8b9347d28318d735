-- Whether the rest of a run may follow its canary: found good, and agreed to. Runs of before are asked about once more.
ALTER TABLE runs ADD COLUMN canary_passed INTEGER NOT NULL DEFAULT 0;
