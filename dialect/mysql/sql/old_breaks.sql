-- Candidates, read without locks.
SELECT id
FROM sqllock_breaks
WHERE broken_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
LIMIT ?
