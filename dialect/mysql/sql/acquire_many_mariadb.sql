-- acquire_many_mysql.sql in MariaDB's form: acquire_mariadb.sql explains what is wrong with an
-- UPDATE of a join. The SELECT locks the rows that may be taken and aren't locked by others. Each
-- of them exists, so the INSERT updates them all: nothing is inserted, and no gap is locked for
-- that.
--
-- The SELECT only chooses what to try. The condition decides where the row is changed. It is
-- repeated for each value, and the columns that it reads come last. So its result is the same
-- whether assignments see those before them (as they do) or not (sql_mode SIMULTANEOUS_ASSIGNMENT).
-- RETURNING has every row of the SELECT: those that name the request's owner were taken.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT l.name, l.slot, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)),
       asked.lease_id, asked.owner, asked.note,
       UTC_TIMESTAMP(6),
       COALESCE(UTC_TIMESTAMP(6) + INTERVAL NULLIF(asked.hold, 0) MICROSECOND, TIMESTAMP'1970-01-01 00:00:00'),
       asked.delay
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
    fence = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        GREATEST(sqllock_locks.fence + 1, VALUES(fence)), sqllock_locks.fence),
    note = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        VALUES(note), sqllock_locks.note),
    acquired_at = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        VALUES(acquired_at), sqllock_locks.acquired_at),
    lock_delay = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        VALUES(lock_delay), sqllock_locks.lock_delay),
    owner = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        VALUES(owner), sqllock_locks.owner),
    lease_id = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        VALUES(lease_id), sqllock_locks.lease_id),
    free_at = IF((sqllock_locks.lease_id IS NULL AND sqllock_locks.free_at <= UTC_TIMESTAMP(6))
            OR sqllock_locks.owner = VALUES(owner),
        VALUES(free_at), sqllock_locks.free_at)
RETURNING name, slot, owner, fence
