-- A new lease, live for its TTL from now, by the server's clock.
INSERT INTO sqllock_leases (id, holder, ttl, created_at, renewed_at, expires_at)
VALUES (?, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
