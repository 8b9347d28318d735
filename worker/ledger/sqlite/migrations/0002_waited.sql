ALTER TABLE runs ADD COLUMN waited TEXT NOT NULL DEFAULT '{}'; -- JSON: seconds waited, by cause
