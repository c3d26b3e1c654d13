-- Holds the row for the caller's transaction if it is still ours, by an UPDATE that changes nothing. A read that locks
-- would be a hint's doing only, and none under SNAPSHOT; what an UPDATE locks, it locks for good on every level.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3;
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET note = note
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
