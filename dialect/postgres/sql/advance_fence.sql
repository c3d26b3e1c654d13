-- Raises the fence if the lock is still ours. It never lowers it.
UPDATE sqllock_locks
SET fence = greatest(fence, $4::bigint)
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
