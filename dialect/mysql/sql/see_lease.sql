-- The state of a lease after expire_lease.sql: whether it was ended, and its end relative to now.
-- There is no row if it was deleted. A locking read, since this must not come from a replica or an
-- old snapshot. Read/write splitters recognize the FOR UPDATE at the end.
SELECT id <> ?, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at)
FROM sqllock_leases
WHERE id IN (?, CONCAT('ended.', ?))
FOR UPDATE
