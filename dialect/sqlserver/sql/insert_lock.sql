-- A name's first acquisition. The fence starts at the clock, and so beyond that of a row that was purged.
DECLARE @hold bigint = @p6, @now datetime2(7) = SYSUTCDATETIME();
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
OUTPUT inserted.fence
VALUES (@p1, @p2, DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now), @p4, @p3, @p5, @now,
        DATEADD(microsecond, CAST(@hold % 1000000 AS int), DATEADD(second, CAST(@hold / 1000000 AS int), @now)), @p7);
