-- The length of a bar is the time from the row's last change to the bar's end. It may also be
-- LockDelay, which older releases left in the row.
SELECT l.name, l.slot, l.fence, l.note, l.acquired_at, l.free_at - clock(),
       max(l.free_at - l.acquired_at, l.lock_delay), l.lease_id, l.owner,
       e.holder, e.expires_at - clock(), e.renewed_at, e.ttl
FROM sqllock_locks AS l
LEFT JOIN sqllock_leases AS e ON e.id = l.lease_id
WHERE l.name = ?1
  AND l.slot = ?2
