-- acquired_at becomes the time since when the lock is free. A bar that isn't over stays, with its
-- length: see acquire.sql.
UPDATE sqllock_locks
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = iif(free_at > clock(), acquired_at, clock()),
    free_at     = iif(free_at > clock(), free_at, 0),
    lock_delay  = 0
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
