-- Locks the row for the caller's transaction if it is still ours. It needs FOR SHARE: FOR KEY SHARE
-- doesn't conflict with an UPDATE that leaves the key alone, and such an UPDATE is how a lock
-- changes hands.
SELECT 1
FROM sqllock_locks
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
FOR SHARE
