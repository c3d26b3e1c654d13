-- acquire_mysql.sql for many locks of different keys, given in one JSON array so that the statement
-- is always the same. acquire_mysql.sql explains the condition. STRAIGHT_JOIN and FORCE INDEX keep
-- the plan at one look-up by key for each lock: in a table that was analyzed while it was small,
-- all rows would be read and locked. The list is a derived table of its own: a JSON_TABLE can't be
-- locked, and vtgate doesn't parse FOR UPDATE OF.
UPDATE (SELECT asked.*
        FROM (SELECT * FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
                 slot INT PATH '$[1]',
                 owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]',
                 lease_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[3]',
                 note VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[4]',
                 hold BIGINT PATH '$[5]',
                 delay BIGINT PATH '$[6]'
             )) AS listed LIMIT 1000) AS asked
        STRAIGHT_JOIN sqllock_locks AS lck FORCE INDEX (PRIMARY) ON lck.name = asked.name AND lck.slot = asked.slot
        WHERE (lck.lease_id IS NULL AND lck.free_at <= UTC_TIMESTAMP(6)) OR lck.owner = asked.owner
        LIMIT 1000
        FOR UPDATE SKIP LOCKED) AS free
STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = free.name AND l.slot = free.slot
SET l.fence = GREATEST(l.fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))),
    l.lease_id = free.lease_id,
    l.owner = free.owner,
    l.note = free.note,
    l.acquired_at = UTC_TIMESTAMP(6),
    l.free_at = COALESCE(UTC_TIMESTAMP(6) + INTERVAL NULLIF(free.hold, 0) MICROSECOND, TIMESTAMP'1970-01-01 00:00:00'),
    l.lock_delay = free.delay
WHERE (l.lease_id IS NULL AND l.free_at <= UTC_TIMESTAMP(6)) OR l.owner = free.owner
