-- The heartbeat. Of this statement and expire_leases.sql exactly one wins, because each locks the
-- row and then checks its end again.
UPDATE sqllock_leases
SET renewed_at = clock_timestamp(),
    expires_at = clock_timestamp() + ttl * interval '1 microsecond'
WHERE id = $1::text
  AND expires_at > clock_timestamp()
