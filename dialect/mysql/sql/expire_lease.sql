-- Ends a lease that has run out, by changing its id: a heartbeat no longer finds it, whatever the
-- clock does, and its end remains readable. It also ends a lease whose last renewal is the given
-- one, whatever the clock says, and lowers its end to now. It is the counterpart of
-- renew_lease.sql: of the two, exactly one wins.
UPDATE sqllock_leases
SET id = CONCAT('ended.', id),
    expires_at = LEAST(expires_at, UTC_TIMESTAMP(6))
WHERE id = ?
  AND (expires_at <= UTC_TIMESTAMP(6)
       OR TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', renewed_at) = ?)
