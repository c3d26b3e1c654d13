-- As guard.sql, where other members of a cluster don't see locks: what is written takes part in the certification of the
-- commit. Run twice, it leaves the row as it was.
UPDATE sqllock_locks
SET lock_delay = lock_delay ^ 1
WHERE name = ? AND slot = ? AND owner = ?
