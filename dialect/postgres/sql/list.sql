-- Reads a page of lock rows in key order, with the leases that they name, as get.sql does. It pages
-- by key and not by OFFSET, so that an inserted or deleted row doesn't shift the next page.
WITH primary_only AS (
    DELETE FROM sqllock_leases WHERE false
), lock AS MATERIALIZED (
    SELECT name, slot, fence,
           (extract(epoch FROM acquired_at) * 1000000)::bigint AS acquired_at,
           (extract(epoch FROM free_at - clock_timestamp()) * 1000000)::bigint AS free_in,
           (extract(epoch FROM greatest(free_at - acquired_at, lock_delay * interval '1 microsecond')) * 1000000)::bigint AS bar,
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
    SELECT holder, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint AS remaining,
           (extract(epoch FROM renewed_at) * 1000000)::bigint AS renewed_at, ttl
    FROM sqllock_leases
    WHERE id = lock.lease_id
    OFFSET 0
) AS lease ON true
ORDER BY name, slot
