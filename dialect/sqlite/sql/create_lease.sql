INSERT INTO sqllock_leases (id, holder, ttl, created_at, renewed_at, expires_at)
VALUES (?1, ?2, ?3, clock(), clock(), clock() + ?3)
