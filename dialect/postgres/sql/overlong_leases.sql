-- Reads leases that have more time left than their TTL: the clock was set back after they were
-- renewed.
SELECT id, (extract(epoch FROM renewed_at) * 1000000)::bigint, ttl
FROM sqllock_leases
WHERE expires_at > clock_timestamp() + ttl * interval '1 microsecond'
  AND left(id, 6) <> 'ended.'
LIMIT $1::bigint
