-- release_many_mysql.sql in the form of acquire_many_mariadb.sql, which explains the conditions and
-- their order. owner is the owner that the claim names. RETURNING has every row of the SELECT:
-- those that name no lease were freed.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT l.name, l.slot, l.fence, NULL, asked.owner, l.note, l.acquired_at, l.free_at, l.lock_delay
FROM JSON_TABLE(?, '$[*]' COLUMNS (
         name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
         slot INT PATH '$[1]',
         owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
     )) AS asked
STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = asked.name AND l.slot = asked.slot
WHERE l.owner = asked.owner
FOR UPDATE SKIP LOCKED
ON DUPLICATE KEY UPDATE
    lease_id = IF(sqllock_locks.owner = VALUES(owner), NULL, sqllock_locks.lease_id),
    acquired_at = IF(sqllock_locks.owner = VALUES(owner) AND sqllock_locks.free_at <= UTC_TIMESTAMP(6),
        UTC_TIMESTAMP(6), sqllock_locks.acquired_at),
    free_at = IF(sqllock_locks.owner = VALUES(owner) AND sqllock_locks.free_at <= UTC_TIMESTAMP(6),
        TIMESTAMP'1970-01-01 00:00:00', sqllock_locks.free_at),
    lock_delay = IF(sqllock_locks.owner = VALUES(owner), 0, sqllock_locks.lock_delay),
    owner = IF(sqllock_locks.owner = VALUES(owner), NULL, sqllock_locks.owner)
RETURNING name, slot, lease_id IS NULL
