-- What a look-up before the close said, besides the status: to tell whether a session has changed since.
ALTER TABLE items ADD COLUMN updated_at INTEGER;
ALTER TABLE items ADD COLUMN channel TEXT;
