-- Frees a dead holder's lock, if the row is still as it was read. SKIP LOCKED leaves a guarded row
-- alone, because the guard's transaction may still commit, and an acquisition must not hang behind
-- it. Of the bar that is left and the bar of lock_delay, the one that ends later stays, with its
-- length: see acquire.sql.
UPDATE sqllock_locks
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > clock_timestamp() + greatest(lock_delay - $5::bigint, 0) * interval '1 microsecond'
                       THEN acquired_at ELSE clock_timestamp() END,
    free_at     = CASE WHEN free_at > clock_timestamp() + greatest(lock_delay - $5::bigint, 0) * interval '1 microsecond'
                       THEN free_at
                       WHEN lock_delay > $5::bigint
                       THEN clock_timestamp() + (lock_delay - $5::bigint) * interval '1 microsecond'
                       ELSE 'epoch' END,
    lock_delay  = 0
WHERE (name, slot) = (SELECT name, slot
                      FROM sqllock_locks
                      WHERE name = $1::text
                        AND slot = $2::bigint::integer
                        AND fence = $3::bigint
                        AND lease_id = $4::text
                      FOR NO KEY UPDATE SKIP LOCKED)
  AND fence = $3::bigint
  AND lease_id = $4::text
