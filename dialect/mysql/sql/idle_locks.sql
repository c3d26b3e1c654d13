-- Candidates only, read without locks: a FOR UPDATE with this condition would lock every row that
-- it examines. The rows of transaction locks, in slot -1, must remain for some time after they were
-- inserted: see rows.go.
SELECT name, slot
FROM sqllock_locks
WHERE lease_id IS NULL
  AND GREATEST(free_at, acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
  AND (slot >= 0 OR free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)
  AND fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))
LIMIT ?
