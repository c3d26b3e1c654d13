-- Reads the waiters for a lock whose leases are alive. LATERAL with OFFSET 0 keeps the planner at
-- one look-up by key for each lease.
SELECT name, slot, ticket, owner, lease_id, holder, note, (extract(epoch FROM since) * 1000000)::bigint, holds
FROM sqllock_waiters AS w
CROSS JOIN LATERAL (
    SELECT holder
    FROM sqllock_leases
    WHERE id = w.lease_id
      AND expires_at > clock_timestamp()
    OFFSET 0
) AS lease
WHERE name = $1::text
  AND slot = $2::bigint::integer
ORDER BY ticket
LIMIT $3::bigint
