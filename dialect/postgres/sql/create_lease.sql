-- A lease is committed before any lock names it. That is why a missing lease is dead.
INSERT INTO sqllock_leases (id, holder, ttl, created_at, renewed_at, expires_at)
VALUES ($1::text, $2::text, $3::bigint,
        clock_timestamp(), clock_timestamp(), clock_timestamp() + $3::bigint * interval '1 microsecond')
