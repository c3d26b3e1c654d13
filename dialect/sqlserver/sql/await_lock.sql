-- Waits until the statement that changes the row, or considers it, is done with it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2;
SELECT 1
FROM sqllock_locks WITH (UPDLOCK, ROWLOCK)
WHERE name = @name
  AND slot = @slot;
