-- Deletes rows of locks that nobody has used for long. The rows are locked first, except those that
-- other transactions have locked, so that every process may run it at the same time. MATERIALIZED
-- chooses exactly once, whereas IN (… LIMIT) may run again for each row and delete more than the
-- limit. ARRAY(…) makes the planner look up each name, where a join reads the whole table.
--
-- A row whose fence is ahead of the clock stays. The fence of a new row would start at the clock,
-- and so go back.
WITH idle AS MATERIALIZED (
    SELECT name, slot
    FROM sqllock_locks
    WHERE lease_id IS NULL
      AND greatest(free_at, acquired_at) < clock_timestamp() - $1::bigint * interval '1 microsecond'
      AND fence < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
DELETE FROM sqllock_locks
WHERE name = ANY (ARRAY(SELECT name FROM idle))
  AND (name, slot) IN (SELECT name, slot FROM idle)
  AND lease_id IS NULL
  AND greatest(free_at, acquired_at) < clock_timestamp() - $1::bigint * interval '1 microsecond'
  AND fence < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
