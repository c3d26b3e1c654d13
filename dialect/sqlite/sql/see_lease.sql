-- The state of a lease after expire_lease.sql: whether it was ended, and its end relative to now.
SELECT id <> ?1, expires_at - clock()
FROM sqllock_leases
WHERE id IN (?1, 'ended.' || ?1)
