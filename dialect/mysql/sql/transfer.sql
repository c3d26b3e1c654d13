-- Release and acquire in one statement, if the owner still holds the lock and it would be free now.
-- The statement waits behind a guard, and meanwhile the clock may stand still for long. So the
-- minimum time that the lock is held counts from when it was given, by the time that has passed on
-- SYSDATE. The fence comes back in the reply, as the "insert id".
UPDATE sqllock_locks
SET fence = LAST_INSERT_ID(GREATEST(
        fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))),
    lease_id = ?,
    owner = ?,
    note = ?,
    acquired_at = UTC_TIMESTAMP(6),
    free_at = COALESCE(UTC_TIMESTAMP(6)
        + INTERVAL NULLIF(?, 0) + GREATEST(0, TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))) MICROSECOND,
        TIMESTAMP'1970-01-01 00:00:00'),
    lock_delay = ?
WHERE name = ? AND slot = ? AND owner = ? AND free_at <= UTC_TIMESTAMP(6)
