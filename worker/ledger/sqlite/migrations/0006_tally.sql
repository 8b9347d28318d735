ALTER TABLE runs ADD COLUMN tally TEXT; -- JSON: what a sweep counted before it closed anything; NULL: it has not counted
