-- Deletes rows of locks that nobody has used for long. The rows are locked first, except those that
-- other transactions have locked, so that every process may run it at the same time. ARRAY(…) runs
-- exactly once, whereas IN (… LIMIT) may run again for each row and delete more than the limit.
--
-- A row whose fence is ahead of the clock stays. The fence of a new row would start at the clock,
-- and so go back.
DELETE FROM sqllock_locks
WHERE ctid = ANY (ARRAY(SELECT ctid
                        FROM sqllock_locks
                        WHERE lease_id IS NULL
                          AND greatest(free_at, acquired_at) < clock_timestamp() - $1::bigint * interval '1 microsecond'
                          AND fence < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
                        LIMIT $2::bigint
                        FOR UPDATE SKIP LOCKED))
  AND lease_id IS NULL
  AND greatest(free_at, acquired_at) < clock_timestamp() - $1::bigint * interval '1 microsecond'
  AND fence < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
