-- Takes the lock if its row is free, or already names the request's owner (a repeated request).
-- READPAST skips a locked row, for example one with a guard: an UPDATE locks a row before it reads
-- it. See see_lock.sql for what follows.
--
-- The fence is at least the clock. So it stays ahead even if a counter was set back by a failover,
-- or lost with a purged row.
--
-- free_at is 1970 if no HoldAtLeast was requested. So nothing bars the lock after its release, even
-- if the clock is set back. Otherwise the time from acquired_at to free_at is its length, which
-- reveals a clock that was set back.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @hold bigint = @p6,
        @now datetime2(7) = SYSUTCDATETIME();
DECLARE @clock bigint = DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now);
UPDATE sqllock_locks WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
SET fence       = CASE WHEN fence < @clock THEN @clock ELSE fence + 1 END,
    lease_id    = @p4,
    owner       = @owner,
    note        = @p5,
    acquired_at = @now,
    free_at     = CASE WHEN @hold > 0
                       THEN DATEADD(microsecond, CAST(@hold % 1000000 AS int),
                                    DATEADD(second, CAST(@hold / 1000000 AS int), @now))
                       ELSE CAST('19700101' AS datetime2(7)) END,
    lock_delay  = @p7
OUTPUT inserted.fence
WHERE name = @name
  AND slot = @slot
  AND ((lease_id IS NULL AND free_at <= @now) OR owner = @owner);
