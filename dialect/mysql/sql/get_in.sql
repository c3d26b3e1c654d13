-- get.sql for TiDB, which has no JSON_TABLE. The code repeats the key in IN.
SELECT 0 AS idx, l.name, l.slot, l.fence,
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.acquired_at) AS acquired_at,
       TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.free_at) AS free_in,
       GREATEST(TIMESTAMPDIFF(MICROSECOND, l.acquired_at, l.free_at), l.lock_delay) AS bar,
       l.note, l.owner, l.lease_id
FROM sqllock_locks AS l
WHERE (l.name, l.slot) IN ((?, ?))
