-- Buries leases that have run out, skipping those that others are at, so that every process may run it at once.
-- ARRAY(…) runs exactly once; IN (… LIMIT) may be run again for each row and delete more than the limit.
DELETE FROM sqllock_leases
WHERE id = ANY (ARRAY(SELECT id
                      FROM sqllock_leases
                      WHERE expires_at <= clock_timestamp()
                      LIMIT $1::bigint
                      FOR UPDATE SKIP LOCKED))
  AND expires_at <= clock_timestamp()
