-- Raises the fence if the owner still holds the lock, and never lowers it.
UPDATE sqllock_locks
SET fence = max(fence, ?4)
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
