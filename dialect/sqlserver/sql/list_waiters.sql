-- Waiters of all queues that hold nothing, in the order of their tickets; see queue.sql.
SELECT TOP (@p2) w.name, w.slot, w.ticket, w.owner, w.lease_id, e.holder, w.note,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), w.since), w.holds
FROM sqllock_waiters AS w WITH (READCOMMITTED)
JOIN sqllock_leases AS e WITH (READCOMMITTED) ON e.id = w.lease_id
WHERE w.ticket > @p1
  AND w.holds = N''
  AND e.expires_at > SYSUTCDATETIME()
ORDER BY w.ticket;
