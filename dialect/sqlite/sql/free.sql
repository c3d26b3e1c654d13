-- Compares and swaps on what was seen of the row: fences are never used twice, so if both still match, nobody has
-- had the lock since. The delay counts from the end of the lease, ?5 ago; over
-- or not, the row is free from now on and no earlier, or it would count as long idle and be purged.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner    = NULL,
    free_at  = max(free_at, clock(), clock() + lock_delay - ?5)
WHERE name = ?1
  AND slot = ?2
  AND fence = ?3
  AND lease_id = ?4
