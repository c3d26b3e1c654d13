-- Locks the row for the caller's transaction if the owner still holds the lock. A locking read sees
-- what was committed last, under every isolation level. FOR SHARE is the same, but MariaDB doesn't
-- know it.
SELECT 1
FROM sqllock_locks
WHERE name = ? AND slot = ? AND owner = ?
LOCK IN SHARE MODE
