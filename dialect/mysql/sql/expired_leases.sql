-- Candidates only, read without locks: a FOR UPDATE with this condition would lock every lease that
-- it examines.
SELECT id
FROM sqllock_leases
WHERE expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
LIMIT ?
