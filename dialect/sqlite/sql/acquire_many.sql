-- acquire.sql for many locks, in one JSON array: one statement, and so one commit. See there for what is decided and why.
-- Of a row that is asked for twice the first gets it, since the second finds it taken.
INSERT INTO sqllock_locks AS lock (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT value ->> 0, value ->> 1, clock(), value ->> 3, value ->> 2, value ->> 4, clock(), clock() + (value ->> 5), value ->> 6
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
