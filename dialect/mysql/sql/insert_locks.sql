-- insert_lock.sql for many names, in the order of their keys, so that two clients that insert the
-- same rows don't wait for each other. IGNORE skips rows that another client inserted first. Other
-- errors that it would ignore were ruled out before.
INSERT IGNORE INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT asked.name, asked.slot,
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)),
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
