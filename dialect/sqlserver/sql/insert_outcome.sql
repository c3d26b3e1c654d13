-- The first outcome of a name. It waits for a transaction that has claimed the name. If the name
-- has a row, the error is 2627 or 2601.
DECLARE @keep bigint = @p5, @now datetime2(7) = SYSUTCDATETIME();
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
OUTPUT inserted.fence, inserted.failed, inserted.result,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), inserted.done_at), CAST(1 AS bit)
VALUES (@p1, @p2, @p3, @p4, @now,
        DATEADD(microsecond, CAST(@keep % 1000000 AS int), DATEADD(second, CAST(@keep / 1000000 AS int), @now)));
