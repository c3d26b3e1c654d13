-- guard.sql for a cluster whose members don't see each other's locks: what is written takes part in
-- the certification of the commit. Run twice, it leaves the row unchanged.
UPDATE sqllock_locks
SET lock_delay = lock_delay ^ 1
WHERE name = ? AND slot = ? AND owner = ?
