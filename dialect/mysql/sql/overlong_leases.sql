-- Leases whose remaining time exceeds their TTL: the clock was set back since they were renewed.
SELECT id, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', renewed_at), ttl
FROM sqllock_leases
WHERE expires_at > UTC_TIMESTAMP(6) + INTERVAL ttl MICROSECOND AND LEFT(id, 6) <> 'ended.'
LIMIT ?
