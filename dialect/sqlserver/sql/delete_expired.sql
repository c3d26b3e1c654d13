-- Deletes leases that ran out at least that long ago, and what is kept of those that were ended.
-- READPAST skips locked rows, so that every process may run this at the same time. Under
-- READ_COMMITTED_SNAPSHOT it requires READCOMMITTEDLOCK.
DECLARE @ago bigint = @p1, @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p2) FROM sqllock_leases WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.ttl
WHERE expires_at <= DATEADD(microsecond, -CAST(@ago % 1000000 AS int),
                            DATEADD(second, -CAST(@ago / 1000000 AS int), @now));
