-- As release_many_mysql.sql, in the way of acquire_many_mariadb.sql. Its answer is what was freed.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT l.name, l.slot, l.fence, NULL, NULL, l.note, l.acquired_at, GREATEST(l.free_at, UTC_TIMESTAMP(6)), l.lock_delay
FROM JSON_TABLE(?, '$[*]' COLUMNS (
         name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
         slot INT PATH '$[1]',
         owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
     )) AS asked
STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = asked.name AND l.slot = asked.slot
WHERE l.owner = asked.owner
FOR UPDATE SKIP LOCKED
ON DUPLICATE KEY UPDATE
    lease_id = NULL,
    owner = NULL,
    free_at = VALUES(free_at)
RETURNING name, slot, fence
