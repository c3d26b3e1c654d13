-- see_lock.sql for many locks: of each that has a row its place, its fence, whether it is the asker's, and whether it
-- could be taken. Without a lock, since a guard may be on it: FOR UPDATE at the end is what read/write splitters go by, and
-- doesn't reach into a derived table that LIMIT keeps apart.
SELECT seen.place - 1, seen.fence, seen.mine, seen.takeable
FROM (SELECT asked.place, l.fence,
             IFNULL(l.owner = asked.owner, FALSE) AS mine,
             (l.lease_id IS NULL AND l.free_at <= UTC_TIMESTAMP(6)) OR IFNULL(l.owner = asked.owner, FALSE) AS takeable
      FROM JSON_TABLE(?, '$[*]' COLUMNS (
               place FOR ORDINALITY,
               name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
               slot INT PATH '$[1]',
               owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
           )) AS asked
      STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = asked.name AND l.slot = asked.slot
      LIMIT 1000) AS seen
FOR UPDATE
