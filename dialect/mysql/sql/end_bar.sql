-- Ends the bar of a free lock, if it is the bar that was read.
UPDATE sqllock_locks
SET acquired_at = UTC_TIMESTAMP(6),
    free_at = TIMESTAMP'1970-01-01 00:00:00',
    lock_delay = 0
WHERE name = ? AND slot = ? AND fence = ? AND lease_id IS NULL AND free_at > UTC_TIMESTAMP(6)
