-- Why an acquire changed no row: it doesn't exist, it can't be taken, or it could be but was
-- locked. This may read uncommitted rows, and decides nothing.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3;
SELECT CASE WHEN (lease_id IS NULL AND free_at <= SYSUTCDATETIME()) OR owner = @owner THEN 1 ELSE 0 END
FROM sqllock_locks WITH (READUNCOMMITTED)
WHERE name = @name
  AND slot = @slot;
