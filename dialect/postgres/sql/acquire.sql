-- Takes the lock if its row is free or already names our owner (a request sent again). One statement, so one round trip
-- and one commit. A row that is missing is make_lock.sql's: in one statement with this, it made each acquisition a
-- twelfth slower.
--
-- UPDATE before INSERT, and no upsert: ON CONFLICT DO UPDATE locks the row before it looks at it, and so would wait
-- behind a guard. The UPDATE locks a row only after its WHERE has matched the row as seen, and matches again after
-- a wait.
--
-- clock_timestamp() and never now(): now() is the transaction's start, stale after a wait for the row. The fence
-- outlives a counter that a failover set back, or that went with a purged row, because it is at least the clock.
UPDATE sqllock_locks
SET fence       = greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    lease_id    = $4::text,
    owner       = $3::text,
    note        = $5::text,
    acquired_at = clock_timestamp(),
    free_at     = clock_timestamp() + $6::bigint * interval '1 microsecond',
    lock_delay  = $7::bigint
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND ((lease_id IS NULL AND free_at <= clock_timestamp()) OR owner = $3::text)
RETURNING fence
