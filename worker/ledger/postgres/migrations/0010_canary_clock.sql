-- Whether the rest of a run may follow its canary: found good, and agreed to. Runs of before are asked about once more.
ALTER TABLE runs ADD COLUMN canary_passed boolean NOT NULL DEFAULT false;
-- The first attempt, at the earliest, on the API's clock: ours may be another one when its outcome is found out.
ALTER TABLE items ADD COLUMN first_attempt_earliest bigint;
