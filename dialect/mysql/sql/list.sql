-- A page of lock rows in key order. The first condition is the second's shadow on the key: without it the key isn't
-- used, and each page would read all rows before it. Slot -1 is a transaction lock's row, which
-- tells nothing. FOR UPDATE: see look.sql.
SELECT page.*
FROM (SELECT 0 AS place, l.name, l.slot, l.fence,
             TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.acquired_at) AS acquired_at,
             TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.free_at) AS free_in,
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
