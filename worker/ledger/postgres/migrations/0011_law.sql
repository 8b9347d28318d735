-- The law of the rate: what is known of the room that production leaves, as JSON; its fields belong to worker/pace/law.py.
-- And two more words of a person: the share of 429s that changes nothing (0: none), and a rate that is never gone below.
ALTER TABLE budgets ADD COLUMN law text NOT NULL DEFAULT '{}', ADD COLUMN set_tolerated double precision,
    ADD COLUMN set_floor double precision, DROP COLUMN cut_rate, DROP COLUMN peak, DROP COLUMN cut_at;
