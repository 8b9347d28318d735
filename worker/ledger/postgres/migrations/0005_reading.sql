ALTER TABLE runs ADD COLUMN reading text; -- how the ids of the source were found, in words
