-- Deletes rows of locks that nobody has used for long; see bury_expired.sql for the hints. A row whose fence is ahead
-- of the clock stays: made anew, its fence would start at the clock and so go back.
DECLARE @idle bigint = @p1, @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p2) FROM sqllock_locks WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE lease_id IS NULL
  AND free_at < DATEADD(microsecond, -CAST(@idle % 1000000 AS int), DATEADD(second, -CAST(@idle / 1000000 AS int), @now))
  AND fence < DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now);
