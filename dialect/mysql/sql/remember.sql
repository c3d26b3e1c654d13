-- Writes an outcome unless one is kept. keep_until comes last, since later assignments would see
-- its new value. The clock stands still while this waits for the row, so an outcome that expires
-- meanwhile still counts as kept; recall.sql shows it.
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
ON DUPLICATE KEY UPDATE
    fence = IF(keep_until <= UTC_TIMESTAMP(6), VALUES(fence), fence),
    failed = IF(keep_until <= UTC_TIMESTAMP(6), VALUES(failed), failed),
    result = IF(keep_until <= UTC_TIMESTAMP(6), VALUES(result), result),
    done_at = IF(keep_until <= UTC_TIMESTAMP(6), VALUES(done_at), done_at),
    keep_until = IF(keep_until <= UTC_TIMESTAMP(6), VALUES(keep_until), keep_until)
