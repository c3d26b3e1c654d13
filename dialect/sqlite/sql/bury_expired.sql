-- The subquery is read under the write lock that the DELETE has taken, so it can't be out of date.
DELETE FROM sqllock_leases
WHERE id IN (SELECT id FROM sqllock_leases WHERE expires_at <= clock() LIMIT ?1)
