-- Raises the fence if the owner still holds the lock, and never lowers it. The fence comes back in
-- the reply, as the "insert id". So the reply shows whether there was such a row: an unchanged
-- fence counts as nothing changed.
UPDATE sqllock_locks
SET fence = LAST_INSERT_ID(GREATEST(fence, ?))
WHERE name = ? AND slot = ? AND owner = ?
