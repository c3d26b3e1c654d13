-- Keeps a row whose fence is ahead of the clock: created again, it would start with a smaller
-- fence.
DELETE FROM sqllock_locks
WHERE (name, slot) IN (
    SELECT name, slot
    FROM sqllock_locks
    WHERE lease_id IS NULL
      AND max(free_at, acquired_at) < clock() - ?1
      AND fence < clock()
    LIMIT ?2
)
  AND lease_id IS NULL
  AND max(free_at, acquired_at) < clock() - ?1
  AND fence < clock()
