-- A name's first outcome. It waits for whoever has claimed the name, and then it is 2627 or 2601: as often as the name has one.
DECLARE @keep bigint = @p5, @now datetime2(7) = SYSUTCDATETIME();
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
OUTPUT inserted.fence, inserted.failed, inserted.result,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), inserted.done_at), CAST(1 AS bit)
VALUES (@p1, @p2, @p3, @p4, @now,
        DATEADD(microsecond, CAST(@keep % 1000000 AS int), DATEADD(second, CAST(@keep / 1000000 AS int), @now)));
