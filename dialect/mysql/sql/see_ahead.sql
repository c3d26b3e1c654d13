-- Whether a live waiter is before a ticket. It only chooses what to do, so it takes no locks.
-- STRAIGHT_JOIN looks the lease up after it has found the waiter, which was written after the
-- lease.
SELECT 1
FROM sqllock_waiters AS w
STRAIGHT_JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE w.name = ? AND w.slot = ? AND w.ticket < ? AND e.expires_at > UTC_TIMESTAMP(6)
LIMIT 1
