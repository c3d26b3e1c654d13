-- Leases whose remaining time exceeds their TTL: the clock was set back since they were renewed.
SELECT id, renewed_at, ttl
FROM sqllock_leases
WHERE expires_at > clock() + ttl
  AND substr(id, 1, 6) <> 'ended.'
LIMIT ?1
