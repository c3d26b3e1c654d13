-- Ends the bar of a free lock, if it is the bar that was read.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET acquired_at = @now,
    free_at     = CAST('19700101' AS datetime2(7)),
    lock_delay  = 0
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND fence = @p3
  AND lease_id IS NULL
  AND free_at > @now;
