-- Reads a lock row, and only that: its lease is read by a later statement (leases.sql), because one that was created
-- between the two reads of a joined statement would look dead.
--
-- READCOMMITTED waits for whoever changes a row, unless the database keeps row versions (READ_COMMITTED_SNAPSHOT);
-- where it keeps none, READUNCOMMITTED takes its place.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2;
SELECT 0, name, slot, fence,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), acquired_at),
       DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), free_at),
       note, owner, lease_id
FROM sqllock_locks WITH (READCOMMITTED)
WHERE name = @name
  AND slot = @slot;
