-- Takes the lock if its row is free, missing, or already names the request's owner (a repeated
-- request). An upsert locks no row here before it reads it, since SQLite has only one lock for all
-- writers. So one statement is enough.
--
-- The fence is at least the clock. So it stays ahead even if a counter was lost with a purged row
-- or a restored backup.
--
-- free_at is 0 if no HoldAtLeast was requested. So nothing bars the lock after its release, even if
-- the clock is set back. Otherwise free_at - acquired_at is its length, which reveals a clock that
-- was set back.
INSERT INTO sqllock_locks AS lock (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
VALUES (?1, ?2, clock(), ?3, ?4, ?5, clock(), iif(?6 > 0, clock() + ?6, 0), ?7)
ON CONFLICT (name, slot) DO UPDATE
SET fence       = max(lock.fence + 1, excluded.fence),
    lease_id    = excluded.lease_id,
    owner       = excluded.owner,
    note        = excluded.note,
    acquired_at = excluded.acquired_at,
    free_at     = excluded.free_at,
    lock_delay  = excluded.lock_delay
WHERE (lock.lease_id IS NULL AND lock.free_at <= clock())
   OR lock.owner = excluded.owner
RETURNING fence
