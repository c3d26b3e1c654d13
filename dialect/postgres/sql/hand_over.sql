-- Gives the lock, if it is still ours, to the first in its queue who is alive, and tells him; or frees it, where there is
-- nobody, or he polls, or it isn't to be free yet. Like release.sql it waits behind a guard.
--
-- The lock's row is locked first, so that a waiter isn't chosen, and kept from giving up, while a guard is waited for.
-- What decides is still one condition on that row. OFFSET 0 keeps the planner at one look-up by key for each lease.
-- pg_notify only where the lock was handed over: a commit with a message takes a lock over the whole database.
WITH mine AS MATERIALIZED (
    SELECT free_at <= clock_timestamp() AS due
    FROM sqllock_locks
    WHERE name = $1::text
      AND slot = $2::bigint::integer
      AND owner = $3::text
    FOR NO KEY UPDATE
), heir AS MATERIALIZED (
    SELECT waiter.*
    FROM mine
    CROSS JOIN LATERAL (
        SELECT lease_id, owner, channel, note, hold, lock_delay
        FROM sqllock_waiters AS w
        WHERE name = $1::text
          AND slot = $2::bigint::integer
          AND owner <> $3::text
          AND EXISTS (SELECT FROM sqllock_leases
                      WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
        ORDER BY ticket
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS waiter
    WHERE mine.due
      AND waiter.channel IS NOT NULL
), released AS (
    UPDATE sqllock_locks AS lock
    SET lease_id    = heir.lease_id,
        owner       = heir.owner,
        fence       = CASE WHEN heir.owner IS NULL THEN lock.fence
                           ELSE greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) END,
        note        = coalesce(heir.note, lock.note),
        acquired_at = CASE WHEN heir.owner IS NULL THEN lock.acquired_at ELSE clock_timestamp() END,
        free_at     = CASE WHEN heir.owner IS NULL THEN greatest(lock.free_at, clock_timestamp())
                           ELSE clock_timestamp() + heir.hold * interval '1 microsecond' END,
        lock_delay  = coalesce(heir.lock_delay, lock.lock_delay)
    FROM (SELECT) AS one
    LEFT JOIN heir ON true
    WHERE lock.name = $1::text
      AND lock.slot = $2::bigint::integer
      AND lock.owner = $3::text
    RETURNING lock.owner, lock.fence, heir.channel
), left_queue AS (
    DELETE FROM sqllock_waiters AS waiter
    USING released
    WHERE waiter.owner = released.owner
)
SELECT CASE WHEN channel IS NOT NULL THEN pg_notify(channel, fence || ' ' || owner)::text END
FROM released
