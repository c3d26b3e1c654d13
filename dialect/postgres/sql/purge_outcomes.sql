-- Deletes outcomes that are kept no longer, skipping those that others are at, so that every process may run it at once. See
-- bury_expired.sql for ARRAY(…).
DELETE FROM sqllock_outcomes
WHERE ctid = ANY (ARRAY(SELECT ctid
                        FROM sqllock_outcomes
                        WHERE keep_until <= clock_timestamp()
                        LIMIT $1::bigint
                        FOR UPDATE SKIP LOCKED))
  AND keep_until <= clock_timestamp()
