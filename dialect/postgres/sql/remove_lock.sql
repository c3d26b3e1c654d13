-- Removes the row of a lock that Probe has made.
DELETE FROM sqllock_locks
WHERE name = $1::text
  AND slot = 0
