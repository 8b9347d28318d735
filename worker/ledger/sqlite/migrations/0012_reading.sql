ALTER TABLE runs ADD COLUMN reading TEXT; -- how the ids of the source were found, in words
