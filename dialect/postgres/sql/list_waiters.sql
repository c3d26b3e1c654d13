-- Reads the waiters of all queues that hold nothing and whose leases are alive; see queue.sql.
SELECT name, slot, ticket, owner, lease_id, holder, note, (extract(epoch FROM since) * 1000000)::bigint, holds
FROM sqllock_waiters AS w
CROSS JOIN LATERAL (
    SELECT holder
    FROM sqllock_leases
    WHERE id = w.lease_id
      AND expires_at > clock_timestamp()
    OFFSET 0
) AS lease
WHERE ticket > $1::bigint
  AND holds = ''
ORDER BY ticket
LIMIT $2::bigint
