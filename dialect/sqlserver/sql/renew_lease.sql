-- The heartbeat, the counterpart of expire_lease.sql: of the two, exactly one wins, because each
-- locks the row before it reads its end. The clock is read before a wait for the row, so a lease
-- may get less than its TTL, never more.
DECLARE @id nvarchar(4000) = @p1, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_leases WITH (ROWLOCK, READCOMMITTEDLOCK)
SET renewed_at = @now,
    expires_at = DATEADD(microsecond, CAST(ttl % 1000000 AS int), DATEADD(second, CAST(ttl / 1000000 AS int), @now))
OUTPUT inserted.ttl
WHERE id = @id
  AND expires_at > @now;
