-- Why an acquire touched no row: none is there, or it can't be taken. If it could be, somebody was at it. What it
-- reads need not be committed yet, and decides nothing.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3;
SELECT CASE WHEN (lease_id IS NULL AND free_at <= SYSUTCDATETIME()) OR owner = @owner THEN 1 ELSE 0 END
FROM sqllock_locks WITH (READUNCOMMITTED)
WHERE name = @name
  AND slot = @slot;
