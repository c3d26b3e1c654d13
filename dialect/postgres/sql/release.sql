-- Frees the lock if it is still ours. It waits behind a guard, whose share lock says that the lock must not change
-- hands before that transaction ends. The row stays, since its fence must last.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner    = NULL,
    free_at  = greatest(free_at, clock_timestamp())
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
