-- The heartbeat. An expired lease stays expired: another client may have acted on it already.
UPDATE sqllock_leases
SET renewed_at = clock(),
    expires_at = clock() + ttl
WHERE id = ?1
  AND expires_at > clock()
