-- Takes a dead holder's lock away, if the row is still as it was seen. LOCK_TIMEOUT 0: a guard on the row means that
-- its transaction may yet commit, and a taker must not hang behind it. The setting ends with this batch, which has
-- parameters and so is run by sp_executesql. A lock delay that is over already must not put free_at into the past, or
-- the row would count as long idle and be purged.
SET LOCK_TIMEOUT 0;
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @lease nvarchar(4000) = @p4, @overdue bigint = @p5,
        @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET lease_id = NULL,
    owner    = NULL,
    free_at  = (SELECT MAX(bar)
                FROM (VALUES (free_at), (@now),
                             (DATEADD(microsecond, CAST((lock_delay - @overdue) % 1000000 AS int),
                                      DATEADD(second, CAST((lock_delay - @overdue) / 1000000 AS int), @now)))
                     ) AS bars (bar))
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND fence = @p3
  AND lease_id = @lease;
