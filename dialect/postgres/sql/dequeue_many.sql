-- dequeue.sql for many waiters, in one statement and so one commit. It skips rows that another
-- transaction has locked, such as a release that is just handing over a lock, so that two of these
-- statements can't wait for each other. The caller asks for the waiters that aren't found here one
-- by one. For (SELECT $1) see acquire_many.sql.
WITH asked AS MATERIALIZED (
    SELECT *
    FROM unnest((SELECT $1::text[]), (SELECT $2::integer[]), (SELECT $3::text[])) WITH ORDINALITY AS a (name, slot, owner, ord)
), mine AS MATERIALIZED (
    SELECT asked.ord, asked.owner, waiter.place
    FROM asked
    CROSS JOIN LATERAL (
        SELECT ctid AS place
        FROM sqllock_waiters
        WHERE owner = asked.owner
          AND name = asked.name
          AND slot = asked.slot
        FOR UPDATE SKIP LOCKED
    ) AS waiter
), gone AS (
    DELETE FROM sqllock_waiters AS waiter
    USING mine
    WHERE waiter.ctid = mine.place
      AND waiter.owner = mine.owner
    RETURNING mine.ord
)
SELECT ord FROM gone
