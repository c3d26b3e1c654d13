-- As acquire_many_mysql.sql, but not in its way: see acquire_mariadb.sql for what is wrong with an UPDATE of a join. The
-- SELECT locks the rows that may be taken and are locked by nobody, and as each of them is there, the INSERT is an UPDATE
-- of them all. So nothing is inserted, and no gap is locked for that. Its answer is what was taken.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT l.name, l.slot,
       GREATEST(l.fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))),
       asked.lease_id, asked.owner, asked.note,
       UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL asked.hold MICROSECOND, asked.delay
FROM JSON_TABLE(?, '$[*]' COLUMNS (
         name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
         slot INT PATH '$[1]',
         owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]',
         lease_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[3]',
         note VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[4]',
         hold BIGINT PATH '$[5]',
         delay BIGINT PATH '$[6]'
     )) AS asked
STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = asked.name AND l.slot = asked.slot
WHERE (l.lease_id IS NULL AND l.free_at <= UTC_TIMESTAMP(6)) OR l.owner = asked.owner
FOR UPDATE SKIP LOCKED
ON DUPLICATE KEY UPDATE
    fence = VALUES(fence),
    lease_id = VALUES(lease_id),
    owner = VALUES(owner),
    note = VALUES(note),
    acquired_at = VALUES(acquired_at),
    free_at = VALUES(free_at),
    lock_delay = VALUES(lock_delay)
RETURNING name, slot, fence
