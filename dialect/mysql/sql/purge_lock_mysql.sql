-- Deletes the row of a lock that nobody has used for long, without waiting for whoever is at it: see acquire_mysql.sql.
-- A row whose fence is ahead of the clock stays: made anew, its fence would start at the clock and so go back.
DELETE l
FROM (SELECT name, slot
      FROM sqllock_locks
      WHERE name = ? AND slot = ?
        AND lease_id IS NULL
        AND free_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
        AND (slot >= 0 OR free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)
        AND fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS idle
JOIN sqllock_locks AS l ON l.name = idle.name AND l.slot = idle.slot
