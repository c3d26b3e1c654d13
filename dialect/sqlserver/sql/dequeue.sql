-- Removes a waiter from the queue, found by its owner, which is unique.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3;
DELETE FROM sqllock_waiters WITH (ROWLOCK, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE owner = @owner
  AND name = @name
  AND slot = @slot;
