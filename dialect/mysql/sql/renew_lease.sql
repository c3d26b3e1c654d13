-- The heartbeat, the counterpart of expire_lease.sql: of the two, exactly one wins.
--
-- The first GREATEST makes renewed_at change in any case, since an unchanged row counts as not
-- updated unless the client sets clientFoundRows. The second keeps a heartbeat that was delayed in
-- the server from undoing a later one.
UPDATE sqllock_leases
SET renewed_at = GREATEST(renewed_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6)),
    expires_at = GREATEST(expires_at, UTC_TIMESTAMP(6) + INTERVAL ttl MICROSECOND)
WHERE id = ? AND expires_at > UTC_TIMESTAMP(6)
