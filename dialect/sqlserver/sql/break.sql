-- release.sql, which explains the rest, and the record of it, in one statement and so one commit.
-- Of the row it writes down what the row says. OUTPUT INTO excludes triggers, foreign keys and
-- checks on sqllock_breaks.
DECLARE @name nvarchar(4000) = @p2, @slot int = @p3, @owner nvarchar(4000) = @p10, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > @now THEN acquired_at ELSE @now END,
    free_at     = CASE WHEN free_at > @now THEN free_at ELSE CAST('19700101' AS datetime2(7)) END,
    lock_delay  = 0
OUTPUT @p1, deleted.name, deleted.slot, @p4, @p5, @p6, deleted.note, deleted.acquired_at, @p7, @p8, @p9, @now
INTO sqllock_breaks (id, name, slot, kind, fence, holder, note, acquired_at, broken_by, broken_from, reason, broken_at)
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
