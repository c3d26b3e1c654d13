-- Reads only a lock row. A later statement reads its lease (leases.sql): a lease that was created
-- between the two reads of a joined statement would look dead.
--
-- The length of a bar is the time from the row's last change to the bar's end. It may also be
-- LockDelay, which older releases left in the row.
--
-- READCOMMITTED waits for a change of the row in progress, unless the database keeps row versions
-- (READ_COMMITTED_SNAPSHOT). If it keeps none, READUNCOMMITTED replaces it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2;
SELECT 0, name, slot, fence,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), acquired_at),
       DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), free_at),
       CASE WHEN DATEDIFF_BIG(microsecond, acquired_at, free_at) > lock_delay
            THEN DATEDIFF_BIG(microsecond, acquired_at, free_at) ELSE lock_delay END,
       note, owner, lease_id
FROM sqllock_locks WITH (READCOMMITTED)
WHERE name = @name
  AND slot = @slot;
