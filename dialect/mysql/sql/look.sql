-- Lock rows by key, in the order asked: one JSON array of [name, slot], so that the statement is always the same one.
--
-- Readers and writers of a name decide by what they see here, so it must not come from a replica: FOR UPDATE at the end is
-- what read/write splitters go by, and doesn't reach into a derived table that LIMIT keeps apart. No row is locked.
SELECT seen.*
FROM (SELECT wanted.place - 1 AS place, l.name, l.slot, l.fence,
             TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.acquired_at) AS acquired_at,
             TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.free_at) AS free_in,
             l.note, l.owner, l.lease_id
      FROM JSON_TABLE(?, '$[*]' COLUMNS (
               place FOR ORDINALITY,
               name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
               slot INT PATH '$[1]'
           )) AS wanted
      STRAIGHT_JOIN sqllock_locks AS l ON l.name = wanted.name AND l.slot = wanted.slot
      LIMIT 1000000) AS seen
FOR UPDATE
