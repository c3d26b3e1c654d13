-- Deletes a lock's row that Probe has inserted.
DECLARE @name nvarchar(4000) = @p1;
DELETE FROM sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE name = @name
  AND slot = 0;
