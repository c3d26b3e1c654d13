-- Frees a dead holder's lock, if the row is unchanged since it was read. SKIP LOCKED skips a row
-- with a guard: its transaction may yet commit, and the statement must not wait for it; see
-- acquire_mysql.sql. The later one of the two bars stays, with its length. free_at comes after
-- acquired_at, and lock_delay last, since assignments see the results of those before them.
UPDATE (SELECT name, slot
        FROM sqllock_locks
        WHERE name = ? AND slot = ? AND fence = ? AND lease_id = ?
        LIMIT 1
        FOR UPDATE SKIP LOCKED) AS dead
JOIN sqllock_locks AS l ON l.name = dead.name AND l.slot = dead.slot
SET l.lease_id = NULL,
    l.owner = NULL,
    l.acquired_at = IF(l.free_at > UTC_TIMESTAMP(6) + INTERVAL GREATEST(0, l.lock_delay - ?) MICROSECOND,
        l.acquired_at, UTC_TIMESTAMP(6)),
    l.free_at = CASE WHEN l.free_at > UTC_TIMESTAMP(6) + INTERVAL GREATEST(0, l.lock_delay - ?) MICROSECOND
                   THEN l.free_at
                   WHEN l.lock_delay > ? THEN UTC_TIMESTAMP(6) + INTERVAL l.lock_delay - ? MICROSECOND
                   ELSE TIMESTAMP'1970-01-01 00:00:00' END,
    l.lock_delay = 0
WHERE l.fence = ? AND l.lease_id = ?
