-- release.sql and hand_over.sql for many locks: one statement, and so one commit. See there for what is decided and why.
-- It doesn't wait behind a guard, but leaves that lock held: who asks for it alone waits. In the order of their keys and
-- by place, as in acquire_many.sql. Whether anybody waits at all is asked once, and only then for each lock: by the index,
-- since a table that was full has empty pages. For (SELECT $1) see acquire_many.sql.
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
               AND coalesce((SELECT true FROM (SELECT FROM sqllock_waiters ORDER BY name, slot, ticket LIMIT 1) AS anybody),
                            false)
               AND EXISTS (SELECT FROM sqllock_waiters
                           WHERE name = asked.name AND slot = asked.slot AND channel IS NOT NULL OFFSET 0) AS waited
        FROM sqllock_locks
        WHERE name = asked.name
          AND slot = asked.slot
          AND owner = asked.owner
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS lock
), heir AS MATERIALIZED (
    SELECT mine.ord, mine.place, mine.owner AS last_owner, waiter.*
    FROM mine
    CROSS JOIN LATERAL (
        SELECT lease_id, owner, channel, note, hold, lock_delay
        FROM sqllock_waiters AS w
        WHERE name = mine.name
          AND slot = mine.slot
          AND owner <> mine.owner
          AND EXISTS (SELECT FROM sqllock_leases
                      WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
        ORDER BY ticket
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS waiter
    WHERE mine.waited
      AND waiter.channel IS NOT NULL
), freed AS (
    UPDATE sqllock_locks AS lock
    SET lease_id = NULL,
        owner    = NULL,
        free_at  = greatest(lock.free_at, clock_timestamp())
    FROM mine
    WHERE lock.ctid = mine.place
      AND lock.owner = mine.owner
      AND mine.ord NOT IN (SELECT ord FROM heir)
    RETURNING mine.ord
), handed AS (
    UPDATE sqllock_locks AS lock
    SET fence       = greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = heir.lease_id,
        owner       = heir.owner,
        note        = heir.note,
        acquired_at = clock_timestamp(),
        free_at     = clock_timestamp() + heir.hold * interval '1 microsecond',
        lock_delay  = heir.lock_delay
    FROM heir
    WHERE lock.ctid = heir.place
      AND lock.owner = heir.last_owner
    RETURNING heir.ord, lock.owner, lock.fence, heir.channel
), left_queue AS (
    DELETE FROM sqllock_waiters AS waiter
    USING handed
    WHERE waiter.owner = handed.owner
)
SELECT ord, NULL AS told FROM freed
UNION ALL
SELECT ord, pg_notify(channel, fence || ' ' || owner)::text FROM handed
