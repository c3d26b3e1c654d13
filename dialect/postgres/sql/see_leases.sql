-- Reads what became of the leases that expire_leases.sql was to end. A lease that isn't there was
-- deleted or never written: it is dead. A read/write splitter sends a statement that deletes to the
-- primary. On a replica, a missing lease might just be new. LATERAL with OFFSET 0 keeps the planner
-- at look-ups by key.
WITH primary_only AS (
    DELETE FROM sqllock_leases WHERE false
)
SELECT asked.ord, lease.id <> asked.id, (extract(epoch FROM lease.expires_at - clock_timestamp()) * 1000000)::bigint
FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, ord)
CROSS JOIN LATERAL (
    SELECT id, expires_at
    FROM sqllock_leases
    WHERE id IN (asked.id, 'ended.' || asked.id)
    OFFSET 0
) AS lease
