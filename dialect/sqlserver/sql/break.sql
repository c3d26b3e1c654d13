-- Frees the lock as release.sql does, and records that, in one statement and so one commit. Of the
-- lock's row it writes down what that says. NOCOUNT doesn't affect @@ROWCOUNT.
DECLARE @name nvarchar(4000) = @p2, @slot int = @p3, @owner nvarchar(4000) = @p10,
        @now datetime2(7) = SYSUTCDATETIME(), @broken int;
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > @now THEN acquired_at ELSE @now END,
    free_at     = CASE WHEN free_at > @now THEN free_at ELSE CAST('19700101' AS datetime2(7)) END,
    lock_delay  = 0
OUTPUT @p1, deleted.name, deleted.slot, @p4, @p5, @p6, deleted.note, deleted.acquired_at, @p7, @p8, @p9, @now
INTO sqllock_breaks (id, name, slot, kind, fence, holder, note, acquired_at, broken_by, broken_from, reason, broken_at)
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
SET @broken = @@ROWCOUNT;
SELECT @slot
WHERE @broken = 1;
