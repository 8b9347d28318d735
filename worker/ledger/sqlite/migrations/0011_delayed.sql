-- What was never tried and has to wait for its time, and nothing else: it is looked for at each claim, beside any number of retries.
CREATE INDEX items_delayed ON items (run, due_at)
WHERE outcome = 'pending' AND first_attempt_at IS NULL AND due_at > 0 AND due_at < 4611686018427387904;
