-- How long ago a transaction lock's row was inserted or kept. It takes no lock, since the row may
-- be held.
SELECT TIMESTAMPDIFF(MICROSECOND, free_at, UTC_TIMESTAMP(6))
FROM sqllock_locks
WHERE name = ? AND slot = -1
