-- Candidates only, read without locks: a FOR UPDATE over this condition would lock every row that it passes.
-- The rows of transaction locks, in slot -1, are known to be there for some time after they were made: see rows.go.
SELECT name, slot
FROM sqllock_locks
WHERE lease_id IS NULL
  AND free_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
  AND (slot >= 0 OR free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)
  AND fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))
LIMIT ?
