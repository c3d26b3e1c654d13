-- Ends the bar of a lock that nobody holds, if the row is still as it was read.
UPDATE sqllock_locks
SET free_at     = 'epoch',
    acquired_at = clock_timestamp(),
    lock_delay  = 0
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND fence = $3::bigint
  AND lease_id IS NULL
  AND free_at > clock_timestamp()
