-- What a burial goes by: when the lease ends, as it was written, and how long that is from now.
-- A locking read: what is decided here must not come from a replica or an old snapshot, and FOR UPDATE at the end is
-- what read/write splitters go by.
SELECT TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', expires_at),
       TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at)
FROM sqllock_leases
WHERE id = ?
FOR UPDATE
