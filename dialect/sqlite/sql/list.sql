-- Ordered by the key, so a page is a range of the table.
SELECT l.name, l.slot, l.fence, l.note, l.acquired_at, l.free_at - clock(),
       max(l.free_at - l.acquired_at, l.lock_delay), l.lease_id, l.owner,
       e.holder, e.expires_at - clock(), e.renewed_at, e.ttl
FROM sqllock_locks AS l
LEFT JOIN sqllock_leases AS e ON e.id = l.lease_id
WHERE (l.name, l.slot) > (?1, ?2)
  AND (l.lease_id IS NOT NULL OR NOT ?3)
ORDER BY l.name, l.slot
LIMIT ?4
