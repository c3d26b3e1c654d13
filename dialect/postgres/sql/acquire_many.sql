-- acquire.sql for many locks, in one statement and so one commit. The conditions and their reasons
-- are the same.
--
-- Rows that another transaction has locked are skipped, and all are visited in the order of their
-- keys, so that two of these statements can't wait for each other. If a row is requested twice, one
-- request gets it. What is chosen to be tried is locked or was missing. So the upsert, which locks
-- a row before it checks the condition, waits only for a row that was inserted meanwhile. It is one
-- mutation of the table, because CockroachDB refuses two in a statement.
--
-- LATERAL keeps the planner at one look-up by key for each lock. As a plain join with the table it
-- became a scan of all rows.
--
-- (SELECT $1) hides the length of the arrays from the planner. Otherwise it would estimate a new
-- plan to be cheaper for each short array and plan every time, which took longer than everything
-- else, including the commit.
WITH asked AS MATERIALIZED (
    SELECT DISTINCT ON (name, slot) *
    FROM unnest((SELECT $1::text[]), (SELECT $2::integer[]), (SELECT $3::text[]), (SELECT $4::text[]),
                (SELECT $5::text[]), (SELECT $6::bigint[]), (SELECT $7::bigint[]))
         WITH ORDINALITY AS a (name, slot, owner, lease_id, note, hold, delay, ord)
    ORDER BY name, slot, ord
), free AS MATERIALIZED (
    SELECT asked.*
    FROM asked
    CROSS JOIN LATERAL (
        SELECT 1
        FROM sqllock_locks
        WHERE name = asked.name
          AND slot = asked.slot
          AND ((lease_id IS NULL AND free_at <= clock_timestamp()) OR owner = asked.owner)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS lock
), missing AS (
    SELECT asked.*
    FROM asked
    LEFT JOIN LATERAL (
        SELECT true AS there FROM sqllock_locks WHERE name = asked.name AND slot = asked.slot OFFSET 0
    ) AS lock ON true
    WHERE lock.there IS NULL
), got AS (
    INSERT INTO sqllock_locks AS lock (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
    SELECT name, slot, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
           lease_id, owner, note,
           clock_timestamp(),
           CASE WHEN hold > 0 THEN clock_timestamp() + hold * interval '1 microsecond' ELSE 'epoch' END,
           delay
    FROM (SELECT * FROM free UNION ALL SELECT * FROM missing) AS chosen
    ORDER BY name, slot
    ON CONFLICT (name, slot) DO UPDATE
    SET fence       = greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = excluded.lease_id,
        owner       = excluded.owner,
        note        = excluded.note,
        acquired_at = clock_timestamp(),
        free_at     = CASE WHEN excluded.free_at > excluded.acquired_at
                           THEN clock_timestamp() + (excluded.free_at - excluded.acquired_at) ELSE 'epoch' END,
        lock_delay  = excluded.lock_delay
    WHERE (lock.lease_id IS NULL AND lock.free_at <= clock_timestamp()) OR lock.owner = excluded.owner
    RETURNING name, slot, fence
)
SELECT asked.ord, got.fence
FROM got
JOIN asked ON asked.name = got.name AND asked.slot = got.slot
