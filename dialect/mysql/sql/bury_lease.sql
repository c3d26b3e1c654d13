-- The burial, mirror image of renew_lease.sql. Only the end that was seen: had the lease been renewed and run out once
-- more in between, it would be overdue by less than was told.
DELETE FROM sqllock_leases
WHERE id = ?
  AND TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', expires_at) = ?
  AND expires_at <= UTC_TIMESTAMP(6)
