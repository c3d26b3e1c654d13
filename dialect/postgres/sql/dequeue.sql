-- Removes a waiter from the queue. If a release is just handing it the lock, this waits for the
-- release to end, and finds no row.
DELETE FROM sqllock_waiters
WHERE owner = $3::text
  AND name = $1::text
  AND slot = $2::bigint::integer
