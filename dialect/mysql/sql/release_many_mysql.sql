-- release.sql for many locks of different keys: what is guarded, or somebody else is at, is left held. In the way of
-- acquire_many_mysql.sql.
UPDATE (SELECT lck.name, lck.slot
        FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
                 slot INT PATH '$[1]',
                 owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
             )) AS asked
        STRAIGHT_JOIN sqllock_locks AS lck FORCE INDEX (PRIMARY) ON lck.name = asked.name AND lck.slot = asked.slot
        WHERE lck.owner = asked.owner
        LIMIT 1000
        FOR UPDATE OF lck SKIP LOCKED) AS mine
STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = mine.name AND l.slot = mine.slot
SET l.lease_id = NULL,
    l.owner = NULL,
    l.free_at = GREATEST(l.free_at, UTC_TIMESTAMP(6))
