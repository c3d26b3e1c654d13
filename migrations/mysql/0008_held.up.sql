-- Who holds which lock, for people with mysql. It reads the tables with the reader's own rights: a
-- view with those of its definer is of no use after a restore to a server without that account.
-- OR REPLACE: if nodes of a cluster migrate at the same time, the statement runs twice.
--
-- since is UTC. lease_left is in seconds, and 0 if the holder is dead. The slots are those of
-- sqllock/internal/request/slots.go.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW sqllock_held AS
SELECT l.name,
       CASE WHEN l.slot = 0 THEN 'lock'
            WHEN l.slot BETWEEN 524288 AND 534287 THEN CONCAT('semaphore #', l.slot - 524288)
            WHEN l.slot = 1048576 THEN 'rwlock, writer'
            WHEN l.slot = 1048578 THEN 'once'
            WHEN l.slot = 1048579 THEN 'hand-over'
            WHEN l.slot = 1048580 THEN 'quorum'
            WHEN l.slot = 1048584 THEN 'election'
            WHEN l.slot >= 2097152 THEN 'rwlock, reader'
            ELSE CONCAT('slot ', l.slot) END AS kind,
       e.holder,
       l.acquired_at AS since,
       COALESCE(ROUND(GREATEST(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), e.expires_at), 0) / 1000000, 3), 0)
           AS lease_left,
       (SELECT COUNT(*)
        FROM sqllock_waiters AS w
        JOIN sqllock_leases AS alive ON alive.id = w.lease_id AND alive.expires_at > UTC_TIMESTAMP(6)
        WHERE w.name = l.name
          AND w.slot = CASE WHEN l.slot BETWEEN 524288 AND 534287 THEN 524288
                            WHEN l.slot >= 2097152 THEN 1048576
                            ELSE l.slot END) AS waiters,
       l.fence,
       l.note
FROM sqllock_locks AS l
LEFT JOIN sqllock_leases AS e ON e.id = l.lease_id
WHERE l.lease_id IS NOT NULL
  AND l.slot >= 0;
