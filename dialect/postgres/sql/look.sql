-- Reads lock rows, and only these: the leases are read by a later statement (leases.sql), because one that was
-- created between this snapshot and a lock's acquisition would look dead. LATERAL with OFFSET 0 keeps the planner at
-- one look-up by key for each name asked: as a plain join it chose a full scan.
SELECT asked.ord, lock.*
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS asked (name, slot, ord)
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
