-- Instants are integers: milliseconds since the epoch, UTC, except where a column says otherwise.

CREATE TABLE runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,        -- what people type
    job         text NOT NULL DEFAULT '',    -- the configured job, empty for an ad-hoc run
    source      text NOT NULL,               -- what a person calls the source
    location    text,                        -- where it can be read again; NULL for a stream
    source_stat text,                        -- size and time of change of the source when it was opened
    options     text NOT NULL,               -- the settings of the run as JSON, without secrets
    state       text NOT NULL DEFAULT 'running',
    why         text,
    rows_read   bigint NOT NULL DEFAULT 0,   -- committed together with the rows
    duplicates  bigint NOT NULL DEFAULT 0,
    source_done boolean NOT NULL DEFAULT false, -- whether the source was read to its end
    digest      text,                        -- of the rows read so far: proves that a re-opened source is the same
    created_at  bigint NOT NULL,
    ended_at    bigint,
    seconds     double precision NOT NULL DEFAULT 0, -- time spent working on it
    waited      text NOT NULL DEFAULT '{}',  -- JSON: seconds waited, by cause
    begun_at    bigint,                      -- when the work that goes on now began; NULL when none does
    tally       text,                        -- JSON: what a sweep counted before it closed anything
    made_by     text,                        -- login and host of the process that made the run
    source_sha256 text                       -- of the bytes of the source, once it was read to its end
);

CREATE TABLE items (
    seq              bigint PRIMARY KEY,     -- run << 40 | number of the row: a run's items lie together, in order
    run              bigint NOT NULL REFERENCES runs (id),
    session_id       uuid,                   -- NULL for an invalid row
    line             bigint,
    reason           text,
    text             text,                   -- what stood in an invalid row, cut
    outcome          text NOT NULL,          -- the outcomes of `results`, and 'claimed': taken, answer not recorded yet
    due_at           bigint,                 -- pending, claimed, in_doubt: not before; 0 = never tried. Else NULL
    owner            bigint,                 -- claimed: the worker that has taken it; NULL: one that is in no fleet
    detail           text,
    http_status      integer,                -- of the last answer to a close
    error            text,                   -- a code, never the text of an answer
    attempts         integer NOT NULL DEFAULT 0, -- closes sent, throttled ones not counted
    first_attempt_at bigint,                 -- written before the first close leaves
    looks            integer NOT NULL DEFAULT 0, -- look-ups since the last change of outcome
    recorded_at      bigint,
    started_at       bigint,
    closed_at        bigint,
    final_status     text,
    eval_status      text,
    eval_settled     integer NOT NULL DEFAULT 0,
    settle_at        bigint,                 -- when to look at the evaluations again; NULL = not at all
    settled_at       bigint,
    eval_total integer, eval_succeeded integer, eval_failed integer, eval_pending integer,
    critical_total integer, critical_succeeded integer, critical_failed integer, critical_pending integer,
    looked_at        bigint,                 -- when the evaluations, or the session before its close, were looked at
    updated_at       bigint,                 -- what a look before the close said, to tell whether it has changed since
    channel          text
);
CREATE UNIQUE INDEX items_session ON items (run, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX items_invalid ON items (run) WHERE session_id IS NULL;
CREATE INDEX items_text ON items (text) WHERE session_id IS NULL; -- found again by what stood in it
-- Only what is still to be done is in these two, so they stay small and finding work stays cheap.
CREATE INDEX items_open ON items (run, outcome, due_at, seq) WHERE due_at IS NOT NULL;
CREATE INDEX items_unsettled ON items (run, settle_at, looks, seq) WHERE settle_at IS NOT NULL;
-- Each row is written a few times within moments, and never again.
ALTER TABLE items SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE attempts (                      -- every HTTP exchange, once
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run         bigint NOT NULL REFERENCES runs (id),
    item        bigint,                      -- NULL for a listing page
    at          bigint NOT NULL,
    kind        text NOT NULL,               -- close, read, list, probe
    http_status integer,                     -- NULL: no answer
    error       text,
    ms          integer NOT NULL
);
CREATE INDEX attempts_item ON attempts (item) WHERE item IS NOT NULL;
CREATE INDEX attempts_run ON attempts (run, seq);

CREATE TABLE sightings (                     -- which items a listing page told of
    item    bigint NOT NULL,
    attempt bigint NOT NULL,
    PRIMARY KEY (item, attempt)
);

CREATE TABLE paces (                         -- the rate that was allowed, each time that it changed
    run     bigint NOT NULL REFERENCES runs (id),
    at      bigint NOT NULL,
    allowed double precision NOT NULL,       -- requests/s
    waiting text,                            -- what held all requests up; NULL: nothing
    PRIMARY KEY (run, at)
);

CREATE TABLE messages (                      -- of the queues that this ledger holds
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue      text NOT NULL,
    body       bytea NOT NULL,
    due_at     bigint,                       -- when it may be fetched; while somebody holds it, when it may be again. NULL: dead
    held       boolean NOT NULL DEFAULT false, -- from when it is fetched until it is put back
    deliveries integer NOT NULL DEFAULT 0,   -- how often it was fetched
    why        text,                         -- why it is dead
    dead_at    bigint
);
CREATE INDEX messages_due ON messages (queue, due_at, seq) WHERE due_at IS NOT NULL;
CREATE INDEX messages_dead ON messages (queue, dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX messages_held ON messages (queue, due_at) WHERE held;

CREATE TABLE intake_queues (                 -- queues that have given sessions to runs of this ledger
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE intake_sessions (               -- every session that a queue has ever given: it is looked up when it comes again
    queue      bigint NOT NULL,
    session_id uuid NOT NULL,
    at         bigint NOT NULL,              -- when it was last given without a key of its own; 0: never
    PRIMARY KEY (queue, session_id)
);

CREATE TABLE intake_keys (                   -- keys that messages bore, until they are too old to make a duplicate
    queue bigint NOT NULL,
    key   text NOT NULL,
    at    bigint NOT NULL,
    PRIMARY KEY (queue, key)
);
CREATE INDEX intake_keys_at ON intake_keys (at);

-- One budget per host and organisation, which says who may send when. Here alone instants are seconds since the epoch,
-- by the clock of the server.
CREATE TABLE budgets (
    host         text NOT NULL,
    organisation text NOT NULL,              -- empty where one ledger serves one organisation
    due          double precision NOT NULL DEFAULT 0, -- up to there every permit has been given out (GCRA)
    settle_due   double precision NOT NULL DEFAULT 0, -- the same for settling, while there is something to close
    closing_at   double precision NOT NULL DEFAULT 0, -- when closing asked last
    cut_rate     double precision,           -- requests/s right after the last cut; NULL: never cut
    peak         double precision,           -- requests/s right before it
    cut_at       double precision NOT NULL DEFAULT 0,
    held_at      double precision NOT NULL DEFAULT 0, -- when the last wait began for which a 429 asked
    held_until   double precision NOT NULL DEFAULT 0,
    holds        integer NOT NULL DEFAULT 0, -- such waits in a row
    down_since   double precision,           -- NULL: the API answers
    probe_at     double precision NOT NULL DEFAULT 0,
    probes       integer NOT NULL DEFAULT 0,
    set_rate     double precision,           -- requests/s, a person's word
    paused       boolean NOT NULL DEFAULT false,
    set_by       text,                       -- the run that these two were said to
    seen_at      double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (host, organisation)
) WITH (fillfactor = 10);                    -- written a dozen times a second: each version fits on the same page

CREATE FUNCTION instant(millis bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT to_char(to_timestamp(millis / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

CREATE VIEW item_results AS
SELECT
    i.seq, i.run AS run_id, r.name AS run,
    coalesce(i.session_id::text, i.text) AS session_id,
    CASE i.outcome WHEN 'claimed' THEN 'in_doubt' ELSE i.outcome END AS outcome,
    i.detail, i.final_status, i.eval_status, i.eval_settled, i.reason, i.attempts, i.http_status, i.error,
    instant(i.closed_at) AS closed_at, instant(i.first_attempt_at) AS first_attempt_at,
    instant(i.recorded_at) AS recorded_at, instant(i.settled_at) AS settled_at,
    i.eval_total, i.eval_succeeded, i.eval_failed, i.eval_pending,
    i.critical_total, i.critical_succeeded, i.critical_failed, i.critical_pending,
    i.line, nullif(r.job, '') AS job
FROM items i JOIN runs r ON r.id = i.run;

CREATE VIEW results AS
SELECT run, session_id, outcome, detail, final_status, eval_status, eval_settled, reason, attempts, http_status, error,
       closed_at, first_attempt_at, recorded_at, settled_at, eval_total, eval_succeeded, eval_failed, eval_pending,
       critical_total, critical_succeeded, critical_failed, critical_pending, line, job
FROM item_results;
