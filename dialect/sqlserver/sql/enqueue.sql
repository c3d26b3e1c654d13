-- Puts a waiter at the end of the queue, unless it is already in it, and returns whether no live
-- waiter is before it. If two statements insert the same waiter at once, one gets 2627 or 2601. The
-- rest only chooses what to do and decides nothing, so it may read uncommitted rows, and waits for
-- nothing.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2, @owner nvarchar(4000) = @p3, @now datetime2(7) = SYSUTCDATETIME();
INSERT INTO sqllock_waiters (name, slot, lease_id, owner, note, since, holds)
SELECT @name, @slot, @p4, @owner, @p5, @now, @p6
WHERE NOT EXISTS (SELECT 1 FROM sqllock_waiters AS w WITH (READCOMMITTEDLOCK) WHERE w.owner = @owner);
SELECT w.ticket,
       CASE WHEN EXISTS (SELECT 1
                         FROM sqllock_waiters AS ahead WITH (READUNCOMMITTED)
                         JOIN sqllock_leases AS e WITH (READUNCOMMITTED) ON e.id = ahead.lease_id
                         WHERE ahead.name = @name
                           AND ahead.slot = @slot
                           AND ahead.ticket < w.ticket
                           AND e.expires_at > @now)
            THEN 0 ELSE 1 END
FROM sqllock_waiters AS w WITH (READUNCOMMITTED)
WHERE w.owner = @owner;
