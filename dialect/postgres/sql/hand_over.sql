-- Gives the lock, if it is still ours, to the first live waiter in its queue, and notifies that
-- waiter. It frees the lock instead if there is no waiter, if that waiter polls, or if the lock's
-- HoldAtLeast hasn't passed yet. Like release.sql, it waits behind a guard.
--
-- The lock's row is locked first. Otherwise a waiter would be chosen, and kept from leaving the
-- queue, while this waits for a guard. The hand-over still depends on one condition on that row.
-- OFFSET 0 keeps the planner at one look-up by key for each lease. pg_notify is called only after a
-- hand-over, because a commit with a notification takes a lock on the whole database.
WITH mine AS MATERIALIZED (
    SELECT free_at <= clock_timestamp() AS due
    FROM sqllock_locks
    WHERE name = $1::text
      AND slot = $2::bigint::integer
      AND owner = $3::text
    FOR NO KEY UPDATE
), first_waiter AS MATERIALIZED (
    SELECT waiter.*
    FROM mine
    CROSS JOIN LATERAL (
        SELECT lease_id, owner, channel, note, hold, lock_delay
        FROM sqllock_waiters AS w
        WHERE name = $1::text
          AND slot = $2::bigint::integer
          AND owner <> $3::text
          AND EXISTS (SELECT 1 FROM sqllock_leases
                      WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
        ORDER BY ticket
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS waiter
    WHERE mine.due
      AND waiter.channel IS NOT NULL
), released AS (
    UPDATE sqllock_locks AS lock
    SET lease_id    = first_waiter.lease_id,
        owner       = first_waiter.owner,
        fence       = CASE WHEN first_waiter.owner IS NULL THEN lock.fence
                           ELSE greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) END,
        note        = coalesce(first_waiter.note, lock.note),
        acquired_at = CASE WHEN first_waiter.owner IS NULL AND lock.free_at > clock_timestamp() THEN lock.acquired_at
                           ELSE clock_timestamp() END,
        free_at     = CASE WHEN first_waiter.owner IS NULL AND lock.free_at > clock_timestamp() THEN lock.free_at
                           WHEN first_waiter.hold > 0 THEN clock_timestamp() + first_waiter.hold * interval '1 microsecond'
                           ELSE 'epoch' END,
        lock_delay  = coalesce(first_waiter.lock_delay, 0)
    FROM (SELECT) AS one
    LEFT JOIN first_waiter ON true
    WHERE lock.name = $1::text
      AND lock.slot = $2::bigint::integer
      AND lock.owner = $3::text
    RETURNING lock.owner, lock.fence, first_waiter.channel
), left_queue AS (
    DELETE FROM sqllock_waiters AS waiter
    USING released
    WHERE waiter.owner = released.owner
)
SELECT CASE WHEN channel IS NOT NULL THEN pg_notify(channel, fence || ' ' || owner)::text END
FROM released
