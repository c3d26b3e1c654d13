-- Lock rows by key, in the order requested. The keys are one JSON array of [name, slot], so that
-- the statement is always the same.
--
-- The length of a bar is the time from the row's last change to the bar's end. It may also be
-- LockDelay, which older releases left in the row.
--
-- Readers and writers of a name rely on this result, so it must not come from a replica. Read/write
-- splitters recognize the FOR UPDATE at the end. It doesn't affect a derived table that LIMIT keeps
-- separate, so no row is locked.
SELECT seen.*
FROM (SELECT wanted.idx - 1 AS idx, l.name, l.slot, l.fence,
             TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.acquired_at) AS acquired_at,
             TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.free_at) AS free_in,
             GREATEST(TIMESTAMPDIFF(MICROSECOND, l.acquired_at, l.free_at), l.lock_delay) AS bar,
             l.note, l.owner, l.lease_id
      FROM JSON_TABLE(?, '$[*]' COLUMNS (
               idx FOR ORDINALITY,
               name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
               slot INT PATH '$[1]'
           )) AS wanted
      STRAIGHT_JOIN sqllock_locks AS l ON l.name = wanted.name AND l.slot = wanted.slot
      LIMIT 1000000) AS seen
FOR UPDATE
