-- Keeps a transaction lock's row from being purged, unless the row is locked: see
-- acquire_mysql.sql.
UPDATE (SELECT name
        FROM sqllock_locks
        WHERE name = ? AND slot = -1
        LIMIT 1
        FOR UPDATE SKIP LOCKED) AS unused
JOIN sqllock_locks AS l ON l.name = unused.name AND l.slot = -1
SET l.free_at = UTC_TIMESTAMP(6)
