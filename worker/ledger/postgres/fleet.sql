-- The statements of a fleet, each named by the line above it. A lease is by the clock of the server.

-- name: worker_alive
-- Its row is held until the transaction ends: nobody can take it for dead meanwhile.
SELECT true FROM workers WHERE id = :owner AND lease_until > clock_timestamp() FOR KEY SHARE;

-- name: worker_leads
SELECT true FROM workers w JOIN leads l ON l.worker = w.id
WHERE w.id = :owner AND l.run = :run AND lease_until > clock_timestamp() FOR KEY SHARE OF w;

-- name: worker_registered
INSERT INTO workers (run, host, pid, alone, lease_until)
VALUES (:run, :host, :pid, :alone, clock_timestamp() + make_interval(secs => :lease)) RETURNING id;

-- name: worker_beat
UPDATE workers SET beat_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => :lease), rate = :rate
WHERE id = :owner AND lease_until > clock_timestamp();

-- name: worker_gone
DELETE FROM workers WHERE id = :owner;

-- name: workers_dead
-- Those whose lease has ended. One that is just recording is left for the next time.
DELETE FROM workers WHERE id IN (
    SELECT id FROM workers WHERE run = :run AND lease_until <= clock_timestamp() FOR UPDATE SKIP LOCKED);

-- name: workers_alive
SELECT id, alone FROM workers WHERE run = :run AND lease_until > clock_timestamp();

-- name: workers_here
SELECT id FROM workers WHERE id = ANY (:owners) AND lease_until > clock_timestamp();

-- name: workers
-- All there are, with what they have claimed.
SELECT r.name, w.host, w.pid, l.run IS NOT NULL,
       (SELECT count(*) FROM items i WHERE i.run = w.run AND i.outcome = 'claimed' AND i.due_at IS NOT NULL AND i.owner = w.id),
       w.rate, extract(epoch FROM clock_timestamp() - w.started_at)::float8,
       extract(epoch FROM clock_timestamp() - w.beat_at)::float8, extract(epoch FROM w.lease_until - clock_timestamp())::float8
FROM workers w JOIN runs r ON r.id = w.run LEFT JOIN leads l ON l.run = w.run AND l.worker = w.id
ORDER BY w.run DESC, w.id;

-- name: lead_taken
-- The run has no lead that is alive: this worker is it now.
INSERT INTO leads (run, worker) VALUES (:run, :owner)
ON CONFLICT (run) DO UPDATE SET worker = excluded.worker, begun = false, shares = false
WHERE NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = leads.worker);

-- name: lead_tells
UPDATE leads SET begun = :begun, shares = :shares, closing = :closing WHERE run = :run AND worker = :owner;

-- name: lead_left
DELETE FROM leads WHERE run = :run AND worker = :owner;

-- name: lead
SELECT r.state, r.ended_at, coalesce(l.worker = :owner, false), coalesce(l.begun, false), coalesce(l.closing, true),
       EXISTS (SELECT 1 FROM workers w WHERE w.id = l.worker)
FROM runs r LEFT JOIN leads l ON l.run = r.id WHERE r.id = :run;

-- name: given_up
-- A worker leaves while its requests are in flight: they are looked up once they are surely over.
UPDATE items SET outcome = 'in_doubt', was = NULL, owner = NULL, due_at = :due, http_status = NULL, error = 'process_died', looks = 0,
    detail = 'the process ended before the answer was recorded'
WHERE run = :run AND outcome = 'claimed' AND due_at IS NOT NULL AND owner = :owner;

-- name: led_unsaid
-- The last lead has not said how long it worked: it did until the last exchange.
UPDATE runs SET seconds = seconds + greatest(0, coalesce(
    (SELECT at FROM attempts WHERE run = :run ORDER BY seq DESC LIMIT 1) - begun_at, 0)) / 1000.0
WHERE id = :run;
