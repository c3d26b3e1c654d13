-- Frees the lock if the owner still holds it. It waits behind a guard, whose share lock means that
-- the lock must not change hands before that transaction ends. The row stays, since its fence must
-- last, and says since when it is free. A bar that isn't over stays, with its length: see
-- acquire_mysql.sql.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner = NULL,
    acquired_at = IF(free_at > UTC_TIMESTAMP(6), acquired_at, UTC_TIMESTAMP(6)),
    free_at = IF(free_at > UTC_TIMESTAMP(6), free_at, TIMESTAMP'1970-01-01 00:00:00'),
    lock_delay = 0
WHERE name = ? AND slot = ? AND owner = ?
