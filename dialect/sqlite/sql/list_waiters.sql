-- Waiters of all queues that hold nothing. Those whose lease has expired don't count.
SELECT w.name, w.slot, w.ticket, w.owner, w.lease_id, e.holder, w.note, w.since, w.holds
FROM sqllock_waiters AS w
JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE w.ticket > ?1
  AND w.holds = ''
  AND e.expires_at > clock()
ORDER BY w.ticket
LIMIT ?2
