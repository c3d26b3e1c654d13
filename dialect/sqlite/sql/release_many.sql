-- release.sql for many locks, in one JSON array: one statement, and so one commit. CROSS JOIN keeps the order of the join:
-- one look-up by key for each. It finds rows that are there, so the INSERT is an UPDATE of them all: as UPDATE ... FROM,
-- where the order can't be kept, it may become a scan of all rows for each lock.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT l.name, l.slot, l.fence, NULL, NULL, l.note, l.acquired_at, max(l.free_at, clock()), l.lock_delay
FROM json_each(?1) AS asked
CROSS JOIN sqllock_locks AS l
        ON l.name = asked.value ->> 0
       AND l.slot = asked.value ->> 1
       AND l.owner = asked.value ->> 2
WHERE true
ON CONFLICT (name, slot) DO UPDATE
SET lease_id = NULL,
    owner    = NULL,
    free_at  = excluded.free_at
RETURNING name, slot
