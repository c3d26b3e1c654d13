-- Writes the outcome of a name that the transaction has claimed.
UPDATE sqllock_outcomes
SET fence = ?,
    failed = ?,
    result = ?,
    done_at = UTC_TIMESTAMP(6),
    keep_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND
WHERE name = ? AND keep_until <= UTC_TIMESTAMP(6)
