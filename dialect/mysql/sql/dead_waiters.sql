-- Candidates, read without locks. A lease that doesn't exist or has expired is dead for ever.
SELECT w.owner
FROM sqllock_waiters AS w
LEFT JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE e.id IS NULL OR e.expires_at <= UTC_TIMESTAMP(6)
LIMIT ?
