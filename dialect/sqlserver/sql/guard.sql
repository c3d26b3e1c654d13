-- Locks the row for the caller's transaction if the owner still holds the lock, by an UPDATE that
-- changes nothing. A locking read would depend on a hint, and wouldn't lock under SNAPSHOT. The
-- locks of an UPDATE are kept on every isolation level.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3;
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET note = note
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND owner = @owner;
