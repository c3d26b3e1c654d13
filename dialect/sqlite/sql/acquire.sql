-- Takes the lock if its row is free, missing, or already names our owner (a request sent again). An upsert locks no
-- row here before it looks at it, since SQLite has but one lock for all writers: so one statement does it all.
--
-- The fence outlives a counter that went with a purged row or a restored backup, because it is at least the clock.
INSERT INTO sqllock_locks AS lock (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
VALUES (?1, ?2, clock(), ?3, ?4, ?5, clock(), clock() + ?6, ?7)
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
