-- Deletes waiters whose lease is dead, skipping those that others are at, so that every process may run it at once. See
-- bury_expired.sql for ARRAY(…). One statement sees one moment, and a lease is committed before anybody waits under it.
DELETE FROM sqllock_waiters
WHERE ctid = ANY (ARRAY(SELECT ctid
                        FROM sqllock_waiters AS w
                        WHERE NOT EXISTS (SELECT FROM sqllock_leases
                                          WHERE id = w.lease_id AND expires_at > clock_timestamp())
                        LIMIT $1::bigint
                        FOR UPDATE OF w SKIP LOCKED))
