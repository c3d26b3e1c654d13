-- Compares and swaps on what was read from the row. Fences are never reused, so if both fence and
-- lease still match, the lock hasn't changed hands since. The delay counts from the end of the
-- lease, ?5 ago. The later one of the two bars stays, with its length.
UPDATE sqllock_locks
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = iif(free_at > clock() + max(lock_delay - ?5, 0), acquired_at, clock()),
    free_at     = CASE WHEN free_at > clock() + max(lock_delay - ?5, 0) THEN free_at
                       WHEN lock_delay > ?5 THEN clock() + lock_delay - ?5
                       ELSE 0 END,
    lock_delay  = 0
WHERE name = ?1
  AND slot = ?2
  AND fence = ?3
  AND lease_id = ?4
