-- Whether somebody alive waits for a lock under another lease. As see_ahead.sql: read before pass.sql and not in it, since a
-- subquery of an UPDATE locks what it reads, gaps and leases too, unless the session is at READ COMMITTED. While the UPDATE
-- waits behind a guard, on MySQL nobody could queue up then.
SELECT 1
FROM sqllock_waiters AS w
STRAIGHT_JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE w.name = ? AND w.slot = ? AND w.lease_id <> ? AND e.expires_at > UTC_TIMESTAMP(6)
LIMIT 1
