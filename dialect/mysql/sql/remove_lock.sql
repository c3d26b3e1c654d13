-- Deletes a lock's row that Probe has inserted.
DELETE FROM sqllock_locks
WHERE name = ? AND slot = 0
