-- Takes a dead holder's lock away, if the row is still as it was seen. SKIP LOCKED: a guard on the row means that its
-- transaction may yet commit, and a taker must not hang behind it; see acquire_mysql.sql. A lock delay that is over
-- already must not put free_at into the past, or the row would count as long idle and be purged.
UPDATE (SELECT name, slot
        FROM sqllock_locks
        WHERE name = ? AND slot = ? AND fence = ? AND lease_id = ?
        LIMIT 1
        FOR UPDATE SKIP LOCKED) AS orphan
JOIN sqllock_locks AS l ON l.name = orphan.name AND l.slot = orphan.slot
SET l.lease_id = NULL,
    l.owner = NULL,
    l.free_at = GREATEST(l.free_at, UTC_TIMESTAMP(6) + INTERVAL GREATEST(0, l.lock_delay - ?) MICROSECOND)
