CREATE TABLE messages (                     -- of the queues that this ledger holds
    seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: who fetched a message knows it by that
    queue      TEXT NOT NULL,
    body       BLOB NOT NULL,
    due_at     INTEGER,                     -- when it may be fetched; while somebody holds it, when it may be again. NULL: dead
    held       INTEGER NOT NULL DEFAULT 0,  -- 1 from when it is fetched until it is put back
    deliveries INTEGER NOT NULL DEFAULT 0,  -- how often it was fetched
    why        TEXT,                        -- why it is dead
    dead_at    INTEGER
) STRICT;
CREATE INDEX messages_due ON messages (queue, due_at, seq) WHERE due_at IS NOT NULL;
CREATE INDEX messages_dead ON messages (queue, dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX messages_held ON messages (queue, due_at) WHERE held = 1;
