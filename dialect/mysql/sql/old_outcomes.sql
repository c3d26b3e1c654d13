-- Candidates, read without locks.
SELECT name
FROM sqllock_outcomes
WHERE keep_until <= UTC_TIMESTAMP(6)
LIMIT ?
