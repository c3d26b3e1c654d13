-- Raises the fence if the lock is still ours, and never lowers it.
UPDATE sqllock_locks
SET fence = max(fence, ?4)
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
