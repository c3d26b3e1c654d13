-- Buries leases that have run out. READPAST skips those that others are at, so that every process may run it at once;
-- under READ_COMMITTED_SNAPSHOT it wants READCOMMITTEDLOCK beside it.
DECLARE @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p1) FROM sqllock_leases WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.ttl
WHERE expires_at <= @now;
