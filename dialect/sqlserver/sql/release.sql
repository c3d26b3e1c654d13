-- Frees the lock if it is still ours. It waits behind a guard. The row stays, since its fence must last.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET lease_id = NULL,
    owner    = NULL,
    free_at  = CASE WHEN free_at < @now THEN @now ELSE free_at END
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
