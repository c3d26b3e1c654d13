-- Deletes old breaks; see delete_expired.sql for the hints.
DECLARE @ago bigint = @p1, @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p2) FROM sqllock_breaks WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE broken_at < DATEADD(microsecond, -CAST(@ago % 1000000 AS int),
                          DATEADD(second, -CAST(@ago / 1000000 AS int), @now));
