ALTER TABLE runs ADD COLUMN begun_at INTEGER; -- when the process that works on it began; NULL when none does
