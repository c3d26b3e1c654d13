-- Deletes outcomes whose time has passed. It skips rows that other transactions have locked, so
-- that every process may run it at the same time. See delete_expired.sql for ARRAY(…).
DELETE FROM sqllock_outcomes
WHERE name = ANY (ARRAY(SELECT name
                        FROM sqllock_outcomes
                        WHERE keep_until <= clock_timestamp()
                        LIMIT $1::bigint
                        FOR UPDATE SKIP LOCKED))
  AND keep_until <= clock_timestamp()
