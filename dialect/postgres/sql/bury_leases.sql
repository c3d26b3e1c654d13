-- Deletes those of the leases that have run out, and reads what is left of the others. One statement that writes: a
-- read/write splitter sends it to the primary, where a lease that is missing is dead and not merely new.
--
-- The rows are locked first, in order, so that two callers with the same leases don't deadlock. It also makes the
-- answer true after a wait: a lease that somebody else has just buried or renewed is seen as it is now, not as it was
-- in the snapshot.
WITH seen AS MATERIALIZED (
    SELECT id, expires_at
    FROM sqllock_leases
    WHERE id = ANY ($1::text[])
    ORDER BY id
    FOR UPDATE
), gone AS (
    DELETE FROM sqllock_leases AS lease
    USING seen
    WHERE lease.id = seen.id
      AND lease.expires_at <= clock_timestamp()
    RETURNING lease.id
)
SELECT seen.id,
       gone.id IS NOT NULL,
       (extract(epoch FROM seen.expires_at - clock_timestamp()) * 1000000)::bigint
FROM seen
LEFT JOIN gone ON gone.id = seen.id
