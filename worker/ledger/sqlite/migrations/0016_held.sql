-- Whether any run holds a session, however many runs there are. Nothing is added to it before a claim.
CREATE INDEX items_held ON items (session_id) WHERE outcome IN ('claimed', 'in_doubt', 'closed', 'already_closed');
