-- Ends the bar of a free lock, if it is the bar that was read.
UPDATE sqllock_locks
SET acquired_at = clock(),
    free_at     = 0,
    lock_delay  = 0
WHERE name = ?1
  AND slot = ?2
  AND fence = ?3
  AND lease_id IS NULL
  AND free_at > clock()
