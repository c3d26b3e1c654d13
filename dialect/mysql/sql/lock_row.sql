-- The row of a transaction lock. The code appends the kind of lock.
SELECT 1
FROM sqllock_locks
WHERE name = ? AND slot = -1
