-- Candidates only, read without locks: a FOR UPDATE over this condition would lock every lease that it passes.
SELECT id
FROM sqllock_leases
WHERE expires_at <= UTC_TIMESTAMP(6)
LIMIT ?
