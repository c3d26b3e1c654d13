-- Gives the lock to the next request, if it is still ours, its HoldAtLeast has passed, and it has
-- no live waiter under another lease. It waits behind a guard. Waiters that arrive during that wait
-- aren't seen: they are behind in the queue anyway, and that the lock has one holder depends only
-- on its own row.
UPDATE sqllock_locks
SET fence       = greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    lease_id    = $5::text,
    owner       = $4::text,
    note        = $6::text,
    acquired_at = clock_timestamp(),
    free_at     = CASE WHEN $7::bigint > 0 THEN clock_timestamp() + $7::bigint * interval '1 microsecond' ELSE 'epoch' END,
    lock_delay  = $8::bigint
WHERE name = $1::text
  AND slot = $2::bigint::integer
  AND owner = $3::text
  AND free_at <= clock_timestamp()
  AND NOT EXISTS (SELECT 1 FROM sqllock_waiters AS w
                  WHERE name = $1::text
                    AND slot = $2::bigint::integer
                    AND lease_id <> $5::text
                    AND EXISTS (SELECT 1 FROM sqllock_leases
                                WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
                  OFFSET 0)
RETURNING fence
