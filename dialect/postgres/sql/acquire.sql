-- Takes the lock if its row is free or already names our owner (a request sent again). It is one
-- statement, so one round trip and one commit. make_lock.sql makes a row that is missing. In one
-- statement with this one, it slowed each acquisition by a twelfth.
--
-- There is an UPDATE before the INSERT and no upsert, because ON CONFLICT DO UPDATE locks the row
-- before it checks the condition, and so would wait behind a guard. The UPDATE locks a row only
-- after its WHERE has matched the row as seen, and checks the condition again after a wait.
--
-- The clock is clock_timestamp() and never now(), which is the transaction's start and so is stale
-- after a wait for the row. The fence is at least the clock. So it also grows if a failover has set
-- the counter back, or if the row was purged.
--
-- free_at is the epoch if no HoldAtLeast was asked for. Then nothing bars the lock after its
-- release, even if the clock is set back. Otherwise free_at - acquired_at is the length of the bar,
-- by which a clock that was set back is recognized.
UPDATE sqllock_locks
SET fence       = greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    lease_id    = $4::text,
    owner       = $3::text,
    note        = $5::text,
    acquired_at = clock_timestamp(),
    free_at     = CASE WHEN $6::bigint > 0 THEN clock_timestamp() + $6::bigint * interval '1 microsecond' ELSE 'epoch' END,
    lock_delay  = $7::bigint
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND ((lease_id IS NULL AND free_at <= clock_timestamp()) OR owner = $3::text)
RETURNING fence
