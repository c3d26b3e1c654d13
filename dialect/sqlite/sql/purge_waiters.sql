-- A lease that isn't there is dead for ever, as is one that has run out: whoever waits under it won't take the lock.
DELETE FROM sqllock_waiters
WHERE ticket IN (
    SELECT ticket
    FROM sqllock_waiters AS w
    WHERE NOT EXISTS (SELECT 1 FROM sqllock_leases AS e WHERE e.id = w.lease_id AND e.expires_at > clock())
    LIMIT ?1
)
