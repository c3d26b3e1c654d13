-- Frees the lock if it is still ours. It waits behind a guard, whose share lock says that the lock must not change
-- hands before that transaction ends. The row stays, since its fence must last.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner = NULL,
    free_at = GREATEST(free_at, UTC_TIMESTAMP(6))
WHERE name = ? AND slot = ? AND owner = ?
