-- Finds the row by its owner alone, whose index is unique. This and purge_waiter are the only
-- statements that lock such rows, both by that index. CONCAT prevents the use of the index of
-- names.
DELETE FROM sqllock_waiters
WHERE owner = ? AND CONCAT(name, '') = ? AND slot = ?
