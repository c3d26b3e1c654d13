-- acquire.sql for many locks, in one statement and so one commit. The conditions and their reasons
-- are the same.
--
-- LATERAL keeps the planner at one look-up by key for each lock, and the update finds the rows by
-- their ctid. As a plain join with the table, either one became a scan of all rows. Rows that
-- another transaction has locked are skipped, and all are visited in the order of their keys, so
-- that two of these statements can't wait for each other. If a row is requested twice, one request
-- gets it.
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
    SELECT asked.*, lock.place
    FROM asked
    CROSS JOIN LATERAL (
        SELECT ctid AS place
        FROM sqllock_locks
        WHERE name = asked.name
          AND slot = asked.slot
          AND ((lease_id IS NULL AND free_at <= clock_timestamp()) OR owner = asked.owner)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS lock
), taken AS (
    UPDATE sqllock_locks AS lock
    SET fence       = greatest(lock.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = free.lease_id,
        owner       = free.owner,
        note        = free.note,
        acquired_at = clock_timestamp(),
        free_at     = CASE WHEN free.hold > 0 THEN clock_timestamp() + free.hold * interval '1 microsecond' ELSE 'epoch' END,
        lock_delay  = free.delay
    FROM free
    WHERE lock.ctid = free.place
      AND lock.name = free.name
      AND lock.slot = free.slot
      AND ((lock.lease_id IS NULL AND lock.free_at <= clock_timestamp()) OR lock.owner = free.owner)
    RETURNING lock.name, lock.slot, lock.fence
), made AS (
    INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
    SELECT asked.name, asked.slot, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
           asked.lease_id, asked.owner, asked.note,
           clock_timestamp(),
           CASE WHEN asked.hold > 0 THEN clock_timestamp() + asked.hold * interval '1 microsecond' ELSE 'epoch' END,
           asked.delay
    FROM asked
    LEFT JOIN LATERAL (
        SELECT true AS there FROM sqllock_locks WHERE name = asked.name AND slot = asked.slot OFFSET 0
    ) AS lock ON true
    WHERE lock.there IS NULL
    ORDER BY asked.name, asked.slot
    ON CONFLICT (name, slot) DO NOTHING
    RETURNING name, slot, fence
)
SELECT asked.ord, got.fence
FROM (SELECT * FROM taken UNION ALL SELECT * FROM made) AS got
JOIN asked ON asked.name = got.name AND asked.slot = got.slot
