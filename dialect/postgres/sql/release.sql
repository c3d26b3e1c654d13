-- Frees the lock if it is still ours and nobody who can be told waits for it; else hand_over.sql comes next. It waits
-- behind a guard, whose share lock says that the lock must not change hands before that transaction ends. The row stays,
-- since its fence must last.
--
-- This is the hot path: as a part of one statement, the hand-over cost every release as much as eight looks into an
-- empty queue. OFFSET 0 keeps the planner at one look-up by key.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner    = NULL,
    free_at  = greatest(free_at, clock_timestamp())
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
  AND NOT EXISTS (SELECT FROM sqllock_waiters
                  WHERE name = $1::text AND slot = $2::bigint::integer AND channel IS NOT NULL OFFSET 0)
