-- Holds the row for the caller's transaction if it is still ours. FOR SHARE, not FOR KEY SHARE: the latter doesn't
-- conflict with an UPDATE that leaves the key alone, which is how a lock changes hands.
SELECT 1
FROM sqllock_locks
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
FOR SHARE
