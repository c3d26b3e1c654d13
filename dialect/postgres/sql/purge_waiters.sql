-- Deletes waiters whose lease is dead. It skips rows that other transactions have locked, so that
-- every process may run it at the same time. See delete_expired.sql for ARRAY(…). A live waiter
-- isn't deleted, because one statement sees one moment, and a lease is committed before any waiter
-- names it.
DELETE FROM sqllock_waiters AS waiter
WHERE owner = ANY (ARRAY(SELECT owner
                         FROM sqllock_waiters AS w
                         WHERE NOT EXISTS (SELECT 1 FROM sqllock_leases
                                           WHERE id = w.lease_id AND expires_at > clock_timestamp())
                         LIMIT $1::bigint
                         FOR UPDATE OF w SKIP LOCKED))
  AND NOT EXISTS (SELECT 1 FROM sqllock_leases
                  WHERE id = waiter.lease_id AND expires_at > clock_timestamp() OFFSET 0)
