-- By the owner alone, whose index is unique: this way, and purge_waiter's, is the only one to these rows that locks. CONCAT
-- keeps the index of names out of it.
DELETE FROM sqllock_waiters
WHERE owner = ? AND CONCAT(name, '') = ? AND slot = ?
