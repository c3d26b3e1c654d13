-- Raises the fence if the owner still holds the lock, and never lowers it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @fence bigint = @p4;
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET fence = CASE WHEN fence < @fence THEN @fence ELSE fence END
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
