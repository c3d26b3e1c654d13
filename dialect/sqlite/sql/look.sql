SELECT l.name, l.slot, l.fence, l.note, l.acquired_at, l.free_at - clock(), l.lease_id, l.owner,
       e.holder, e.expires_at - clock()
FROM sqllock_locks AS l
LEFT JOIN sqllock_leases AS e ON e.id = l.lease_id
WHERE l.name = ?1
  AND l.slot = ?2
