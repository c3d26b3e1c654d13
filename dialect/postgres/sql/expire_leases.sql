-- Ends those of the leases that have expired, by giving them another id. A heartbeat doesn't find
-- them any more, whatever the clock does, and every process can read when they ended. It also ends
-- a lease whose last renewal is the given one, whatever the clock says. If such a lease has an end
-- in the future, its end becomes now.
--
-- The rows are locked first, in order, so that two callers with the same leases don't deadlock. Of
-- this statement and a heartbeat exactly one wins, because each locks the row and then checks its
-- end again.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::bigint[]) AS a (id, renewed_at)
), seen AS MATERIALIZED (
    SELECT lease.id, asked.renewed_at
    FROM asked
    JOIN sqllock_leases AS lease ON lease.id = asked.id
    ORDER BY lease.id
    FOR UPDATE OF lease
)
UPDATE sqllock_leases AS lease
SET id         = 'ended.' || lease.id,
    expires_at = least(lease.expires_at, clock_timestamp())
FROM seen
WHERE lease.id = seen.id
  AND (lease.expires_at <= clock_timestamp()
       OR (extract(epoch FROM lease.renewed_at) * 1000000)::bigint = seen.renewed_at)
