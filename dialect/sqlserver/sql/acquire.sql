-- Takes the lock if its row is free, or already names our owner (a request sent again). READPAST leaves out a row that
-- somebody is at, a guard among them: an UPDATE locks a row before it looks at it. See see_lock.sql for what then.
--
-- The fence outlives a counter that a failover set back, or that went with a purged row, because it is at least the
-- clock.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @hold bigint = @p6,
        @now datetime2(7) = SYSUTCDATETIME();
DECLARE @clock bigint = DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now);
UPDATE sqllock_locks WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
SET fence       = CASE WHEN fence < @clock THEN @clock ELSE fence + 1 END,
    lease_id    = @p4,
    owner       = @owner,
    note        = @p5,
    acquired_at = @now,
    free_at     = DATEADD(microsecond, CAST(@hold % 1000000 AS int), DATEADD(second, CAST(@hold / 1000000 AS int), @now)),
    lock_delay  = @p7
OUTPUT inserted.fence
WHERE name = @name
  AND slot = @slot
  AND ((lease_id IS NULL AND free_at <= @now) OR owner = @owner);
