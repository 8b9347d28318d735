-- A transaction's own mark, by which it is known again when its connection broke at the commit: a crash may take back a
-- transaction's number, and give it to another one. The next write of the same process takes its mark away.
CREATE TABLE written (mark bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
