-- A row whose fence is ahead of the clock stays: created again, it would start behind it.
DELETE FROM sqllock_locks
WHERE (name, slot) IN (
    SELECT name, slot
    FROM sqllock_locks
    WHERE lease_id IS NULL
      AND free_at < clock() - ?1
      AND fence < clock()
    LIMIT ?2
)
