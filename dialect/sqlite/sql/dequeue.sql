DELETE FROM sqllock_waiters
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
