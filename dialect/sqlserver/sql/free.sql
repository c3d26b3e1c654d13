-- Frees a dead holder's lock, if the row is unchanged since it was read. LOCK_TIMEOUT is 0 since
-- the transaction of a guard on the row may yet commit, and the statement must not wait for it. The
-- setting ends with this batch, which has parameters and so is run by sp_executesql. The later one
-- of the two bars stays, with its length.
SET LOCK_TIMEOUT 0;
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @lease nvarchar(4000) = @p4, @ago bigint = @p5,
        @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET lease_id    = NULL,
    owner       = NULL,
    acquired_at = CASE WHEN free_at > @now
                        AND (lock_delay <= @ago
                             OR free_at > DATEADD(microsecond, CAST((lock_delay - @ago) % 1000000 AS int),
                                                  DATEADD(second, CAST((lock_delay - @ago) / 1000000 AS int), @now)))
                       THEN acquired_at ELSE @now END,
    free_at     = CASE WHEN free_at > @now
                        AND (lock_delay <= @ago
                             OR free_at > DATEADD(microsecond, CAST((lock_delay - @ago) % 1000000 AS int),
                                                  DATEADD(second, CAST((lock_delay - @ago) / 1000000 AS int), @now)))
                       THEN free_at
                       WHEN lock_delay > @ago
                       THEN DATEADD(microsecond, CAST((lock_delay - @ago) % 1000000 AS int),
                                    DATEADD(second, CAST((lock_delay - @ago) / 1000000 AS int), @now))
                       ELSE CAST('19700101' AS datetime2(7)) END,
    lock_delay  = 0
OUTPUT inserted.slot
WHERE name = @name
  AND slot = @slot
  AND fence = @p3
  AND lease_id = @lease;
