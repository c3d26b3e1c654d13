-- A lease that doesn't exist or has expired is dead for ever, so a waiter under it can't take the
-- lock.
DELETE FROM sqllock_waiters
WHERE ticket IN (
    SELECT ticket
    FROM sqllock_waiters AS w
    WHERE NOT EXISTS (SELECT 1 FROM sqllock_leases AS e WHERE e.id = w.lease_id AND e.expires_at > clock())
    LIMIT ?1
)
  AND NOT EXISTS (SELECT 1 FROM sqllock_leases AS e WHERE e.id = lease_id AND e.expires_at > clock())
