-- guard.sql where FOR SHARE may lock nothing: under CockroachDB's SERIALIZABLE it doesn't by
-- default. The row is updated without being changed, which every other writer waits for at every
-- isolation level.
UPDATE sqllock_locks
SET fence = fence
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
RETURNING 1
