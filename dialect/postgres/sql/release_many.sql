-- release.sql and hand_over.sql for many locks, in one statement and so one commit. The conditions
-- and their reasons are the same. It doesn't wait behind a guard, but leaves that lock held: the
-- caller releases it alone and waits then. Rows are visited in the order of their keys and updated
-- by their ctid, as in acquire_many.sql. Whether there is any waiter at all is read once, and only
-- then is the queue of each lock read. This goes by the index, because a table that was full once
-- has empty pages. For (SELECT $1) see acquire_many.sql.
WITH asked AS MATERIALIZED (
    SELECT *
    FROM unnest((SELECT $1::text[]), (SELECT $2::integer[]), (SELECT $3::text[])) WITH ORDINALITY AS a (name, slot, owner, ord)
    ORDER BY name, slot
), mine AS MATERIALIZED (
    SELECT asked.*, lock.place, lock.waited
    FROM asked
    CROSS JOIN LATERAL (
        SELECT ctid AS place,
               free_at <= clock_timestamp()
               AND coalesce((SELECT true FROM (SELECT 1 FROM sqllock_waiters ORDER BY name, slot, ticket LIMIT 1) AS anybody),
                            false)
               AND EXISTS (SELECT 1 FROM sqllock_waiters
                           WHERE name = asked.name AND slot = asked.slot AND channel IS NOT NULL OFFSET 0) AS waited
        FROM sqllock_locks
        WHERE name = asked.name
          AND slot = asked.slot
          AND owner = asked.owner
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS lock
), first_waiter AS MATERIALIZED (
    SELECT mine.ord, mine.place, mine.owner AS last_owner, waiter.*
    FROM mine
    CROSS JOIN LATERAL (
        SELECT lease_id, owner, channel, note, hold, lock_delay
        FROM sqllock_waiters AS w
        WHERE name = mine.name
          AND slot = mine.slot
          AND owner <> mine.owner
          AND EXISTS (SELECT 1 FROM sqllock_leases
                      WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
        ORDER BY ticket
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS waiter
    WHERE mine.waited
      AND waiter.channel IS NOT NULL
), freed AS (
    UPDATE sqllock_locks AS lock
    SET lease_id    = NULL,
        owner       = NULL,
        acquired_at = CASE WHEN lock.free_at > clock_timestamp() THEN lock.acquired_at ELSE clock_timestamp() END,
        free_at     = CASE WHEN lock.free_at > clock_timestamp() THEN lock.free_at ELSE 'epoch' END,
        lock_delay  = 0
    FROM mine
    WHERE lock.ctid = mine.place
      AND lock.owner = mine.owner
      AND mine.ord NOT IN (SELECT ord FROM first_waiter)
    RETURNING mine.ord
), handed AS (
    UPDATE sqllock_locks AS lock
    SET fence       = greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = first_waiter.lease_id,
        owner       = first_waiter.owner,
        note        = first_waiter.note,
        acquired_at = clock_timestamp(),
        free_at     = CASE WHEN first_waiter.hold > 0 THEN clock_timestamp() + first_waiter.hold * interval '1 microsecond' ELSE 'epoch' END,
        lock_delay  = first_waiter.lock_delay
    FROM first_waiter
    WHERE lock.ctid = first_waiter.place
      AND lock.owner = first_waiter.last_owner
    RETURNING first_waiter.ord, lock.owner, lock.fence, first_waiter.channel
), left_queue AS (
    DELETE FROM sqllock_waiters AS waiter
    USING handed
    WHERE waiter.owner = handed.owner
)
SELECT ord, NULL AS notified FROM freed
UNION ALL
SELECT ord, pg_notify(channel, fence || ' ' || owner)::text FROM handed
