-- The state of many locks: for each that has a row, its index among the requested ones, its fence,
-- and whether the request's owner holds it. It takes no lock, since a guard may be on the row.
-- Read/write splitters recognize the FOR UPDATE at the end, which doesn't affect a derived table
-- that LIMIT keeps separate.
SELECT seen.idx - 1, seen.fence, seen.mine
FROM (SELECT asked.idx, l.fence, IFNULL(l.owner = asked.owner, FALSE) AS mine
      FROM JSON_TABLE(?, '$[*]' COLUMNS (
               idx FOR ORDINALITY,
               name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
               slot INT PATH '$[1]',
               owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[2]'
           )) AS asked
      STRAIGHT_JOIN sqllock_locks AS l FORCE INDEX (PRIMARY) ON l.name = asked.name AND l.slot = asked.slot
      LIMIT 1000) AS seen
FOR UPDATE
