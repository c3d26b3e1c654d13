-- Deletes the row of a lock that hasn't been used for long, without waiting for a locked row: see
-- acquire_mysql.sql. Keeps a row whose fence is ahead of the clock: created again, it would start
-- with a smaller fence.
DELETE l
FROM (SELECT name, slot
      FROM sqllock_locks
      WHERE name = ? AND slot = ?
        AND lease_id IS NULL
        AND GREATEST(free_at, acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
        AND (slot >= 0 OR free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)
        AND fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS idle
JOIN sqllock_locks AS l ON l.name = idle.name AND l.slot = idle.slot
WHERE l.lease_id IS NULL
  AND GREATEST(l.free_at, l.acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
  AND (l.slot >= 0 OR l.free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)
  AND l.fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))
