-- Frees the lock if the owner still holds it. It waits behind a guard. The row stays, since its
-- fence must last, and says since when it is free. A bar that isn't over stays, with its length:
-- see acquire.sql.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > @now THEN acquired_at ELSE @now END,
    free_at     = CASE WHEN free_at > @now THEN free_at ELSE CAST('19700101' AS datetime2(7)) END,
    lock_delay  = 0
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
