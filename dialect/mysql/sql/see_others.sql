-- Whether a live waiter waits for a lock under another lease. Like see_ahead.sql it takes no locks.
-- It runs before transfer.sql, not as part of it: a subquery of an UPDATE locks what it reads, gaps
-- and leases included, unless the session is at READ COMMITTED. While the UPDATE waits behind a
-- guard, nothing could then enter the queue on MySQL.
SELECT 1
FROM sqllock_waiters AS w
STRAIGHT_JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE w.name = ? AND w.slot = ? AND w.lease_id <> ? AND e.expires_at > UTC_TIMESTAMP(6)
LIMIT 1
