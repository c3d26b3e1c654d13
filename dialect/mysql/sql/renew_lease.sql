-- The heartbeat, mirror image of bury_lease.sql: of the two exactly one wins.
-- GREATEST twice: a heartbeat that was held up in the server must not take back what a later one has given, and
-- renewed_at must change in any case, since a row that stays the same counts as not updated unless the client sets
-- clientFoundRows.
UPDATE sqllock_leases
SET renewed_at = GREATEST(renewed_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6)),
    expires_at = GREATEST(expires_at, UTC_TIMESTAMP(6) + INTERVAL ttl MICROSECOND)
WHERE id = ? AND expires_at > UTC_TIMESTAMP(6)
