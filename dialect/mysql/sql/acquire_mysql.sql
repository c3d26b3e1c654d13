-- Takes the lock if its row is free or names our own owner already (a request sent again).
-- InnoDB locks a row that it finds by its key before it looks at the other conditions, so a plain UPDATE would wait
-- behind the guard of a lock that is held. SKIP LOCKED leaves such a row out, and only a derived table can say so in
-- an UPDATE. LIMIT keeps that table from being merged into the UPDATE, which would forget SKIP LOCKED.
-- What the derived table has found is locked until the statement is committed, so its answer stays true.
-- The fence comes back in the reply, as the "insert id".
UPDATE (SELECT name, slot
        FROM sqllock_locks
        WHERE name = ? AND slot = ? AND ((lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)) OR owner = ?)
        LIMIT 1
        FOR UPDATE SKIP LOCKED) AS free
JOIN sqllock_locks AS l ON l.name = free.name AND l.slot = free.slot
SET l.fence = LAST_INSERT_ID(GREATEST(
        l.fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))),
    l.lease_id = ?,
    l.owner = ?,
    l.note = ?,
    l.acquired_at = UTC_TIMESTAMP(6),
    l.free_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND,
    l.lock_delay = ?
