-- Takes the lock if its row is free or already names the request's owner (a repeated request).
--
-- InnoDB locks a row that it finds by its key before it evaluates the other conditions, so a plain
-- UPDATE would wait behind the guard of a held lock. SKIP LOCKED skips such a row, and in an UPDATE
-- only a derived table can have it. LIMIT keeps that table from being merged into the UPDATE, which
-- would drop SKIP LOCKED.
--
-- The derived table only chooses whether to try. The condition is repeated outside of it, where the
-- row is changed, since a server may read a derived table from an older snapshot, or accept SKIP
-- LOCKED and lock nothing (TiDB). The fence comes back in the reply, as the "insert id".
--
-- free_at is 1970 if no HoldAtLeast was requested. So nothing bars the lock after its release, even
-- if the clock is set back, or stands still while a statement waits. Otherwise the time from
-- acquired_at to free_at is its length, which reveals a clock that was set back.
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
    l.free_at = COALESCE(UTC_TIMESTAMP(6) + INTERVAL NULLIF(?, 0) MICROSECOND, TIMESTAMP'1970-01-01 00:00:00'),
    l.lock_delay = ?
WHERE (l.lease_id IS NULL AND l.free_at <= UTC_TIMESTAMP(6)) OR l.owner = ?
