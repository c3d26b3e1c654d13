-- Waits until a change of the row in progress is committed. A share lock doesn't wait for guards,
-- which are share locks.
SELECT 1
FROM sqllock_locks
WHERE name = ? AND slot = ?
LOCK IN SHARE MODE
