-- release.sql for many locks, given in one JSON array: one statement, and so one commit. CROSS JOIN
-- fixes the order of the join: one look-up by key for each. It yields only rows that exist, so the
-- INSERT updates them all. UPDATE ... FROM can't fix the order, and may scan all rows for each
-- lock. excluded.owner is the owner that the claim names.
INSERT INTO sqllock_locks AS lock (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT l.name, l.slot, l.fence, NULL, asked.value ->> 2, l.note, l.acquired_at, l.free_at, l.lock_delay
FROM json_each(?1) AS asked
CROSS JOIN sqllock_locks AS l
        ON l.name = asked.value ->> 0
       AND l.slot = asked.value ->> 1
       AND l.owner = asked.value ->> 2
WHERE true
ON CONFLICT (name, slot) DO UPDATE
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = iif(lock.free_at > clock(), lock.acquired_at, clock()),
    free_at     = iif(lock.free_at > clock(), lock.free_at, 0),
    lock_delay  = 0
WHERE lock.owner = excluded.owner
RETURNING name, slot
