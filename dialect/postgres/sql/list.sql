-- Reads a page of lock rows in key order; the leases are read by a later statement, as for look.sql. Paging by key,
-- not by OFFSET, so that a row that comes or goes doesn't shift the next page.
SELECT 0::bigint, name, slot, fence,
       (extract(epoch FROM acquired_at) * 1000000)::bigint,
       (extract(epoch FROM free_at - clock_timestamp()) * 1000000)::bigint,
       note, owner, lease_id
FROM sqllock_locks
WHERE (name, slot) > ($1::text, $2::bigint)
  AND (lease_id IS NOT NULL OR NOT $3::boolean)
ORDER BY name, slot
LIMIT $4::bigint
