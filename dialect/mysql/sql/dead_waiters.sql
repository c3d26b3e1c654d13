-- Candidates, read without locks. The dead don't come back: a lease that isn't there is dead for ever, as is one that has
-- run out.
SELECT w.owner
FROM sqllock_waiters AS w
LEFT JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE e.id IS NULL OR e.expires_at <= UTC_TIMESTAMP(6)
LIMIT ?
