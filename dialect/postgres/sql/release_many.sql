-- release.sql for many locks: one statement, and so one commit. It doesn't wait behind a guard, but leaves that lock
-- held: who asks for it alone waits. In the order of their keys and by place, as in acquire_many.sql.
WITH asked AS MATERIALIZED (
    SELECT *
    FROM unnest($1::text[], $2::integer[], $3::text[]) WITH ORDINALITY AS a (name, slot, owner, ord)
    ORDER BY name, slot
), mine AS MATERIALIZED (
    SELECT asked.*, lock.place
    FROM asked
    CROSS JOIN LATERAL (
        SELECT ctid AS place
        FROM sqllock_locks
        WHERE name = asked.name
          AND slot = asked.slot
          AND owner = asked.owner
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS lock
)
UPDATE sqllock_locks AS lock
SET lease_id = NULL,
    owner    = NULL,
    free_at  = greatest(lock.free_at, clock_timestamp())
FROM mine
WHERE lock.ctid = mine.place
  AND lock.owner = mine.owner
RETURNING mine.ord
