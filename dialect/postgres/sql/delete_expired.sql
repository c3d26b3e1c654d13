-- Deletes leases that expired so long ago, including the rows that expire_leases.sql has renamed.
-- It skips rows that other transactions have locked, so that every process may run it at the same
-- time. ARRAY(…) runs exactly once, whereas IN (… LIMIT) may run again for each row and delete more
-- than the limit.
DELETE FROM sqllock_leases
WHERE id = ANY (ARRAY(SELECT id
                      FROM sqllock_leases
                      WHERE expires_at <= clock_timestamp() - $1::bigint * interval '1 microsecond'
                      LIMIT $2::bigint
                      FOR UPDATE SKIP LOCKED))
  AND expires_at <= clock_timestamp() - $1::bigint * interval '1 microsecond'
