-- Waits until whoever is changing the row has committed. A share lock doesn't wait for guards, which are share locks.
SELECT 1
FROM sqllock_locks
WHERE name = ? AND slot = ?
LOCK IN SHARE MODE
