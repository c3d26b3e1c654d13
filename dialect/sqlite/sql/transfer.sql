-- Release and acquire in one statement. It transfers the lock if the owner still holds it, it would
-- be free now, and nobody else waits for it. A waiter counts if its lease is live and isn't the
-- lease that the lock is transferred to.
UPDATE sqllock_locks
SET fence       = max(fence + 1, clock()),
    lease_id    = ?4,
    owner       = ?5,
    note        = ?6,
    acquired_at = clock(),
    free_at     = iif(?7 > 0, clock() + ?7, 0),
    lock_delay  = ?8
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
  AND free_at <= clock()
  AND NOT EXISTS (
      SELECT 1
      FROM sqllock_waiters AS w
      JOIN sqllock_leases AS e ON e.id = w.lease_id
      WHERE w.name = ?1
        AND w.slot = ?2
        AND w.lease_id <> ?4
        AND e.expires_at > clock()
  )
RETURNING fence
