-- Gives a lock that is free to the first in its queue who is alive, and tells him: for one who took his place while
-- hand_over.sql, which couldn't see him yet, was on its way. As there, but nothing is written and nobody waited for where
-- the queue is empty, or somebody is at the row. Who has just released it isn't handed it again.
WITH mine AS MATERIALIZED (
    SELECT
    FROM sqllock_locks
    WHERE name = $1::text
      AND slot = $2::bigint::integer
      AND lease_id IS NULL
      AND free_at <= clock_timestamp()
      AND EXISTS (SELECT FROM sqllock_waiters
                  WHERE name = $1::text AND slot = $2::bigint::integer AND channel IS NOT NULL OFFSET 0)
    FOR NO KEY UPDATE SKIP LOCKED
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
    WHERE waiter.channel IS NOT NULL
), given AS (
    UPDATE sqllock_locks AS lock
    SET fence       = greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = heir.lease_id,
        owner       = heir.owner,
        note        = heir.note,
        acquired_at = clock_timestamp(),
        free_at     = clock_timestamp() + heir.hold * interval '1 microsecond',
        lock_delay  = heir.lock_delay
    FROM heir
    WHERE lock.name = $1::text
      AND lock.slot = $2::bigint::integer
      AND lock.lease_id IS NULL
    RETURNING lock.owner, lock.fence, heir.channel
), left_queue AS (
    DELETE FROM sqllock_waiters AS waiter
    USING given
    WHERE waiter.owner = given.owner
)
SELECT pg_notify(channel, fence || ' ' || owner)::text
FROM given
