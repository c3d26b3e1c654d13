-- A lease is committed before any lock names it. That is why a lease that doesn't exist is dead.
-- The time is added in two parts, since DATEADD takes an int.
DECLARE @ttl bigint = @p3, @now datetime2(7) = SYSUTCDATETIME();
INSERT INTO sqllock_leases (id, holder, ttl, created_at, renewed_at, expires_at)
VALUES (@p1, @p2, @ttl, @now, @now,
        DATEADD(microsecond, CAST(@ttl % 1000000 AS int), DATEADD(second, CAST(@ttl / 1000000 AS int), @now)));
