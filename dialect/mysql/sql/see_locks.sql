-- What became of many locks: of each that has a row its place among those asked for, its fence, and whether it is the
-- asker's. Without a lock, since a guard may be on it: FOR UPDATE at the end is what read/write splitters go by, and
-- doesn't reach into a derived table that LIMIT keeps apart.
SELECT seen.place - 1, seen.fence, seen.mine
FROM (SELECT asked.place, l.fence, IFNULL(l.owner = asked.owner, FALSE) AS mine
      FROM JSON_TABLE(?, '$[*]' COLUMNS (
               place FOR ORDINALITY,
               name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
               slot INT PATH '$[1]',
               owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
           )) AS asked
      STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = asked.name AND l.slot = asked.slot
      LIMIT 1000) AS seen
FOR UPDATE
