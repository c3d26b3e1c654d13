-- The waiters for a lock, in the order of their tickets; see get.sql for the hints. Those whose
-- lease has expired don't count. A waiter whose lease is new may be missing. That does no harm,
-- since nothing is decided by it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2;
SELECT TOP (@p3) w.name, w.slot, w.ticket, w.owner, w.lease_id, e.holder, w.note,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), w.since), w.holds
FROM sqllock_waiters AS w WITH (READCOMMITTED)
JOIN sqllock_leases AS e WITH (READCOMMITTED) ON e.id = w.lease_id
WHERE w.name = @name
  AND w.slot = @slot
  AND e.expires_at > SYSUTCDATETIME()
ORDER BY w.ticket;
