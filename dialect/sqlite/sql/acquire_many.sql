-- acquire.sql for many locks, given in one JSON array: one statement, and so one commit.
-- acquire.sql explains the condition. If a row is requested twice, the first request gets it, since
-- the second finds it taken.
INSERT INTO sqllock_locks AS lock (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT value ->> 0, value ->> 1, clock(), value ->> 3, value ->> 2, value ->> 4, clock(),
       iif(value ->> 5 > 0, clock() + (value ->> 5), 0), value ->> 6
FROM json_each(?1)
WHERE true
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
RETURNING name, slot, owner, fence
