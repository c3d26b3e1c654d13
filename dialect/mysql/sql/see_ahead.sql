-- Whether somebody alive is before a ticket. It chooses what to do, and decides nothing: no locks. STRAIGHT_JOIN looks for
-- the lease after the waiter was found, who came after it.
SELECT 1
FROM sqllock_waiters AS w
STRAIGHT_JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE w.name = ? AND w.slot = ? AND w.ticket < ? AND e.expires_at > UTC_TIMESTAMP(6)
LIMIT 1
