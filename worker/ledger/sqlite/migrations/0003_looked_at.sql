ALTER TABLE items ADD COLUMN looked_at INTEGER; -- when the evaluations were last looked at after the close
-- What was never looked at is found among what is due without a look into the items.
DROP INDEX items_unsettled;
CREATE INDEX items_unsettled ON items (run, settle_at, looks, seq) WHERE settle_at IS NOT NULL;
