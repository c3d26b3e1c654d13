-- Release and acquire in one, if the lock is still the owner's and would be free now. It waits behind a guard, and so the
-- clock may stand still for long: what the lock is held at least counts from when it was given, by what SYSDATE has gone on
-- since. The fence comes back in the reply, as the "insert id".
UPDATE sqllock_locks
SET fence = LAST_INSERT_ID(GREATEST(
        fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))),
    lease_id = ?,
    owner = ?,
    note = ?,
    acquired_at = UTC_TIMESTAMP(6),
    free_at = UTC_TIMESTAMP(6)
        + INTERVAL ? + GREATEST(0, TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))) MICROSECOND,
    lock_delay = ?
WHERE name = ? AND slot = ? AND owner = ? AND free_at <= UTC_TIMESTAMP(6)
