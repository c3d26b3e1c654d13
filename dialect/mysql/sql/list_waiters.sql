-- Waiters of all queues that hold nothing, in the order of their tickets. Those whose lease has
-- expired don't count.
SELECT w.name, w.slot, w.ticket, w.owner, w.lease_id, e.holder, w.note,
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', w.since), w.holds
FROM sqllock_waiters AS w
STRAIGHT_JOIN sqllock_leases AS e ON e.id = w.lease_id
WHERE w.ticket > ? AND w.holds = '' AND e.expires_at > UTC_TIMESTAMP(6)
ORDER BY w.ticket
LIMIT ?
