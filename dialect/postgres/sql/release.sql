-- Frees the lock if it is still ours and has no waiter that can be notified. Otherwise
-- hand_over.sql comes next. It waits behind a guard, whose share lock means that the lock must not
-- change hands before that transaction ends. The row stays, because its fence must last, and
-- records since when it has been free. A bar that is left stays, with its length: see acquire.sql.
--
-- This is the hot path. As a part of one statement, the hand-over cost every release as much as
-- eight look-ups in an empty queue. OFFSET 0 keeps the planner at one look-up by key.
UPDATE sqllock_locks
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > clock_timestamp() THEN acquired_at ELSE clock_timestamp() END,
    free_at     = CASE WHEN free_at > clock_timestamp() THEN free_at ELSE 'epoch' END,
    lock_delay  = 0
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
  AND NOT EXISTS (SELECT 1 FROM sqllock_waiters
                  WHERE name = $1::text AND slot = $2::bigint::integer AND channel IS NOT NULL OFFSET 0)
