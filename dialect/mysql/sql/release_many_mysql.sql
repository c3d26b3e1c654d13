-- release.sql for many locks of different keys, in the form of acquire_many_mysql.sql. Locks that
-- are guarded, or whose row is otherwise locked, stay held.
UPDATE (SELECT asked.*
        FROM (SELECT * FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
                 slot INT PATH '$[1]',
                 owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
             )) AS listed LIMIT 1000) AS asked
        STRAIGHT_JOIN sqllock_locks AS lck FORCE INDEX (PRIMARY) ON lck.name = asked.name AND lck.slot = asked.slot
        WHERE lck.owner = asked.owner
        LIMIT 1000
        FOR UPDATE SKIP LOCKED) AS mine
STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = mine.name AND l.slot = mine.slot
SET l.lease_id = NULL,
    l.owner = NULL,
    l.acquired_at = IF(l.free_at > UTC_TIMESTAMP(6), l.acquired_at, UTC_TIMESTAMP(6)),
    l.free_at = IF(l.free_at > UTC_TIMESTAMP(6), l.free_at, TIMESTAMP'1970-01-01 00:00:00'),
    l.lock_delay = 0
WHERE l.owner = mine.owner
