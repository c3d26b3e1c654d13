-- free_at is already further off where the holder asked for HoldAtLeast.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner    = NULL,
    free_at  = max(free_at, clock())
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
