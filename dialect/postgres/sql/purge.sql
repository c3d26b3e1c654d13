-- Deletes rows of locks that nobody has used for long. The rows are locked first, skipping those that others are at,
-- so that every process may run it at once. ARRAY(…) runs exactly once; IN (… LIMIT) may be run again for each row
-- and delete more than the limit.
--
-- A row whose fence is ahead of the clock stays: made anew, its fence would start at the clock and so go back.
DELETE FROM sqllock_locks
WHERE ctid = ANY (ARRAY(SELECT ctid
                        FROM sqllock_locks
                        WHERE lease_id IS NULL
                          AND free_at < clock_timestamp() - $1::bigint * interval '1 microsecond'
                          AND fence < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
                        LIMIT $2::bigint
                        FOR UPDATE SKIP LOCKED))
  AND lease_id IS NULL
