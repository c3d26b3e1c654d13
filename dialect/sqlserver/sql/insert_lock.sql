-- The first acquisition of a name. The fence starts at the clock, and so above that of a purged
-- row.
DECLARE @hold bigint = @p6, @now datetime2(7) = SYSUTCDATETIME();
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
OUTPUT inserted.fence
VALUES (@p1, @p2, DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now), @p4, @p3, @p5, @now,
        CASE WHEN @hold > 0
                       THEN DATEADD(microsecond, CAST(@hold % 1000000 AS int),
                                    DATEADD(second, CAST(@hold / 1000000 AS int), @now))
                       ELSE CAST('19700101' AS datetime2(7)) END, @p7);
