CREATE TABLE workers (                       -- processes at work on a run, each until its lease ends
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run         bigint NOT NULL REFERENCES runs (id),
    host        text NOT NULL,
    pid         integer NOT NULL,
    alone       boolean NOT NULL,            -- nobody may join it
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,        -- by the clock of the server
    rate        double precision NOT NULL DEFAULT 0 -- requests/s that it sends
);
CREATE INDEX workers_run ON workers (run);

CREATE TABLE leads (                         -- which worker does for a run what only one may do
    run     bigint PRIMARY KEY REFERENCES runs (id),
    worker  bigint NOT NULL,
    begun   boolean NOT NULL DEFAULT false,  -- all is ready for others to close
    shares  boolean NOT NULL DEFAULT false,  -- others may take up what was never tried: no cap, no canary
    closing boolean NOT NULL DEFAULT true    -- false: it has ended closing before its time
);
