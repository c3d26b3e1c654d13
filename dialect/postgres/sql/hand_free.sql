-- Gives a free lock to the first live waiter in its queue, and notifies that waiter. It serves a
-- waiter that enqueued while hand_over.sql was in flight and couldn't see it yet. It works like
-- hand_over.sql, but writes nothing and waits for nothing if the queue is empty or another
-- transaction has locked the row. The owner that has just released the lock doesn't get it again.
WITH mine AS MATERIALIZED (
    SELECT
    FROM sqllock_locks
    WHERE name = $1::text
      AND slot = $2::bigint::integer
      AND lease_id IS NULL
      AND free_at <= clock_timestamp()
      AND EXISTS (SELECT 1 FROM sqllock_waiters
                  WHERE name = $1::text AND slot = $2::bigint::integer AND channel IS NOT NULL OFFSET 0)
    FOR NO KEY UPDATE SKIP LOCKED
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
    WHERE waiter.channel IS NOT NULL
), given AS (
    UPDATE sqllock_locks AS lock
    SET fence       = greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = first_waiter.lease_id,
        owner       = first_waiter.owner,
        note        = first_waiter.note,
        acquired_at = clock_timestamp(),
        free_at     = CASE WHEN first_waiter.hold > 0 THEN clock_timestamp() + first_waiter.hold * interval '1 microsecond' ELSE 'epoch' END,
        lock_delay  = first_waiter.lock_delay
    FROM first_waiter
    WHERE lock.name = $1::text
      AND lock.slot = $2::bigint::integer
      AND lock.lease_id IS NULL
      AND lock.free_at <= clock_timestamp()
    RETURNING lock.owner, lock.fence, first_waiter.channel
), left_queue AS (
    DELETE FROM sqllock_waiters AS waiter
    USING given
    WHERE waiter.owner = given.owner
)
SELECT pg_notify(channel, fence || ' ' || owner)::text
FROM given
