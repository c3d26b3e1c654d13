-- The row of a transaction lock, to which the code adds how it is to be locked.
SELECT 1
FROM sqllock_locks
WHERE name = ? AND slot = -1
