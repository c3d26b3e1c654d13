-- Takes a waiter out of the queue. Where a release is just handing it the lock, it waits for that to end, and finds
-- nobody.
DELETE FROM sqllock_waiters
WHERE owner = $3::text
  AND name = $1::text
  AND slot = $2::bigint::integer
