-- Reads lock rows with the leases that they name. It is one statement and so sees one moment: a
-- lease is committed before any lock names it, so a lease that is missing here is gone. LATERAL
-- with OFFSET 0 keeps the planner at one look-up by key for each name and each lease. As a plain
-- join it became a full scan. For (SELECT $1) see acquire_many.sql.
--
-- The length of a bar is the time from the row's last change to the bar's end, or the lock_delay
-- that older releases left in the row.
--
-- Readers and writers of a name make decisions on these rows, so they must not come from a replica.
-- A read/write splitter sends a statement that deletes to the primary. This one deletes nothing,
-- and doesn't even read the table for it.
WITH primary_only AS (DELETE FROM sqllock_leases WHERE false)
SELECT asked.ord, lock.*, lease.*
FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[])) WITH ORDINALITY AS asked (name, slot, ord)
CROSS JOIN LATERAL (
    SELECT name, slot, fence,
           (extract(epoch FROM acquired_at) * 1000000)::bigint AS acquired_at,
           (extract(epoch FROM free_at - clock_timestamp()) * 1000000)::bigint AS free_in,
           (extract(epoch FROM greatest(free_at - acquired_at, lock_delay * interval '1 microsecond')) * 1000000)::bigint AS bar,
           note, owner, lease_id
    FROM sqllock_locks
    WHERE name = asked.name
      AND slot = asked.slot
    OFFSET 0
) AS lock
LEFT JOIN LATERAL (
    SELECT holder, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint AS remaining,
           (extract(epoch FROM renewed_at) * 1000000)::bigint AS renewed_at, ttl
    FROM sqllock_leases
    WHERE id = lock.lease_id
    OFFSET 0
) AS lease ON true
