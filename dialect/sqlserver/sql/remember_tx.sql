-- Writes the outcome if the name has a row that is no longer kept, as the transaction's claim
-- leaves it.
DECLARE @name nvarchar(4000) = @p1, @keep bigint = @p5, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_outcomes WITH (ROWLOCK, READCOMMITTEDLOCK)
SET fence      = @p2,
    failed     = @p3,
    result     = @p4,
    done_at    = @now,
    keep_until = DATEADD(microsecond, CAST(@keep % 1000000 AS int), DATEADD(second, CAST(@keep / 1000000 AS int), @now))
OUTPUT inserted.fence, inserted.failed, inserted.result,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), inserted.done_at), CAST(1 AS bit)
WHERE name = @name
  AND keep_until <= @now;
