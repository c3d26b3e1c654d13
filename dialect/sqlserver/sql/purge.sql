-- Deletes rows of locks that haven't been used for long; see delete_expired.sql for the hints.
-- Keeps a row whose fence is ahead of the clock: created again, it would start with a smaller
-- fence.
DECLARE @idle bigint = @p1, @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p2) FROM sqllock_locks WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE lease_id IS NULL
  AND free_at < DATEADD(microsecond, -CAST(@idle % 1000000 AS int),
                        DATEADD(second, -CAST(@idle / 1000000 AS int), @now))
  AND acquired_at < DATEADD(microsecond, -CAST(@idle % 1000000 AS int),
                            DATEADD(second, -CAST(@idle / 1000000 AS int), @now))
  AND fence < DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now);
