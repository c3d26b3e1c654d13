-- Raises the fence if the lock is still ours, and never lowers it. The fence comes back in the reply, as the "insert id",
-- and so tells that there was such a row: a fence that stays as it is counts as nothing changed.
UPDATE sqllock_locks
SET fence = LAST_INSERT_ID(GREATEST(fence, ?))
WHERE name = ? AND slot = ? AND owner = ?
