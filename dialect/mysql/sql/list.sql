-- A page of lock rows in key order. The first condition follows from the second. Without it the key
-- isn't used, and each page would read all rows before it. Slot -1 is a transaction lock's row,
-- which has no information. FOR UPDATE: see get.sql.
SELECT page.*
FROM (SELECT 0 AS idx, l.name, l.slot, l.fence,
             TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.acquired_at) AS acquired_at,
             TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.free_at) AS free_in,
             GREATEST(TIMESTAMPDIFF(MICROSECOND, l.acquired_at, l.free_at), l.lock_delay) AS bar,
             l.note, l.owner, l.lease_id
      FROM sqllock_locks AS l
      WHERE l.name >= ?
        AND (l.name > ? OR l.slot > ?)
        AND l.slot >= 0
        AND (? OR l.lease_id IS NOT NULL)
      ORDER BY l.name, l.slot
      LIMIT ?) AS page
ORDER BY name, slot
FOR UPDATE
