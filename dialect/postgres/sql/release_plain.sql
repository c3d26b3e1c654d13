-- release.sql where nobody can be notified: the lock is freed, even if it has waiters.
UPDATE sqllock_locks
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > clock_timestamp() THEN acquired_at ELSE clock_timestamp() END,
    free_at     = CASE WHEN free_at > clock_timestamp() THEN free_at ELSE 'epoch' END,
    lock_delay  = 0
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
