-- Reads a page of lock rows in key order, with the leases that they name, as look.sql does. Paging by key, not by OFFSET,
-- so that a row that comes or goes doesn't shift the next page.
WITH primary_only AS (
    DELETE FROM sqllock_leases WHERE false
), lock AS MATERIALIZED (
    SELECT name, slot, fence,
           (extract(epoch FROM acquired_at) * 1000000)::bigint AS acquired_at,
           (extract(epoch FROM free_at - clock_timestamp()) * 1000000)::bigint AS free_in,
           note, owner, lease_id
    FROM sqllock_locks
    WHERE (name, slot) > ($1::text, $2::bigint)
      AND (lease_id IS NOT NULL OR NOT $3::boolean)
    ORDER BY name, slot
    LIMIT $4::bigint
)
SELECT 0::bigint, lock.*, lease.*
FROM lock
LEFT JOIN LATERAL (
    SELECT holder, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint AS remaining
    FROM sqllock_leases
    WHERE id = lock.lease_id
    OFFSET 0
) AS lease ON true
ORDER BY name, slot
