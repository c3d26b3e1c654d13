-- The heartbeat, and the mirror image of bury_leases.sql: of the two exactly one wins, because each locks the row
-- and then looks at its end again.
UPDATE sqllock_leases
SET renewed_at = clock_timestamp(),
    expires_at = clock_timestamp() + ttl * interval '1 microsecond'
WHERE id = $1::text
  AND expires_at > clock_timestamp()
