-- Holds the row for the caller's transaction if it is still ours. A locking read sees what was committed last, under
-- every level of isolation. FOR SHARE is the same, but MariaDB doesn't know it.
SELECT 1
FROM sqllock_locks
WHERE name = ? AND slot = ? AND owner = ?
LOCK IN SHARE MODE
