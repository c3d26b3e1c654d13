-- release_plain.sql for many locks, in one statement and so one commit. It doesn't wait behind a
-- guard, but leaves that lock held: the caller releases it alone and waits then. SKIP LOCKED only
-- chooses what to try. For the order of the rows and (SELECT $1) see acquire_many.sql.
WITH asked AS MATERIALIZED (
    SELECT *
    FROM unnest((SELECT $1::text[]), (SELECT $2::integer[]), (SELECT $3::text[])) WITH ORDINALITY AS a (name, slot, owner, ord)
    ORDER BY name, slot
), mine AS MATERIALIZED (
    SELECT asked.*
    FROM asked
    CROSS JOIN LATERAL (
        SELECT 1
        FROM sqllock_locks
        WHERE name = asked.name
          AND slot = asked.slot
          AND owner = asked.owner
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS lock
)
UPDATE sqllock_locks AS lock
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN lock.free_at > clock_timestamp() THEN lock.acquired_at ELSE clock_timestamp() END,
    free_at     = CASE WHEN lock.free_at > clock_timestamp() THEN lock.free_at ELSE 'epoch' END,
    lock_delay  = 0
FROM mine
WHERE lock.name = mine.name
  AND lock.slot = mine.slot
  AND lock.owner = mine.owner
RETURNING mine.ord, NULL::text AS notified
