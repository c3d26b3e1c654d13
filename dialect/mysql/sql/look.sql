-- Lock rows by key, in the order asked: one JSON array of [name, slot], so that the statement is always the same one.
SELECT wanted.place - 1, l.name, l.slot, l.fence,
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.acquired_at),
       TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.free_at),
       l.note, l.owner, l.lease_id
FROM JSON_TABLE(?, '$[*]' COLUMNS (
         place FOR ORDINALITY,
         name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
         slot INT PATH '$[1]'
     )) AS wanted
STRAIGHT_JOIN sqllock_locks AS l ON l.name = wanted.name AND l.slot = wanted.slot
