-- Release and acquire in one statement. It transfers the lock if the owner still holds it, it would
-- be free now, and nobody else waits for it. It waits behind a guard before it reads the clock, so
-- that the minimum time that the lock is held counts from when it was given. The queue decides
-- nothing about the lock, so it may be read uncommitted, and nothing waits for it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @lease nvarchar(4000) = @p5,
        @hold bigint = @p7, @found int;
SELECT @found = slot
FROM sqllock_locks WITH (UPDLOCK, ROWLOCK)
WHERE name = @name
  AND slot = @slot;
DECLARE @now datetime2(7) = SYSUTCDATETIME();
DECLARE @clock bigint = DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), @now);
UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK)
SET fence       = CASE WHEN fence < @clock THEN @clock ELSE fence + 1 END,
    lease_id    = @lease,
    owner       = @p4,
    note        = @p6,
    acquired_at = @now,
    free_at     = CASE WHEN @hold > 0
                       THEN DATEADD(microsecond, CAST(@hold % 1000000 AS int),
                                    DATEADD(second, CAST(@hold / 1000000 AS int), @now))
                       ELSE CAST('19700101' AS datetime2(7)) END,
    lock_delay  = @p8
OUTPUT inserted.fence
WHERE name = @name
  AND slot = @slot
  AND owner = @owner
  AND free_at <= @now
  AND NOT EXISTS (SELECT 1
                  FROM sqllock_waiters AS w WITH (READUNCOMMITTED)
                  JOIN sqllock_leases AS e WITH (READUNCOMMITTED) ON e.id = w.lease_id
                  WHERE w.name = @name
                    AND w.slot = @slot
                    AND w.lease_id <> @lease
                    AND e.expires_at > @now);
