-- Reads lock rows with the leases that they name, in one statement and so of one moment: a lease is committed before any
-- lock names it, so one that is missing here is gone. LATERAL with OFFSET 0 keeps the planner at one look-up by key for
-- each name asked, and for each lease: as a plain join it chose a full scan. For (SELECT $1) see acquire_many.sql.
--
-- Readers and writers of a name decide by what they see here, so it must not come from a replica: a read/write splitter sends
-- a statement that deletes to the primary. This one deletes nothing, without looking at the table.
WITH primary_only AS (DELETE FROM sqllock_leases WHERE false)
SELECT asked.ord, lock.*, lease.*
FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[])) WITH ORDINALITY AS asked (name, slot, ord)
CROSS JOIN LATERAL (
    SELECT name, slot, fence,
           (extract(epoch FROM acquired_at) * 1000000)::bigint AS acquired_at,
           (extract(epoch FROM free_at - clock_timestamp()) * 1000000)::bigint AS free_in,
           note, owner, lease_id
    FROM sqllock_locks
    WHERE name = asked.name
      AND slot = asked.slot
    OFFSET 0
) AS lock
LEFT JOIN LATERAL (
    SELECT holder, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint AS remaining
    FROM sqllock_leases
    WHERE id = lock.lease_id
    OFFSET 0
) AS lease ON true
