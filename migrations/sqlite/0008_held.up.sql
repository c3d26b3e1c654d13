-- Who holds which lock, for people with sqlite3, also one that is older than SQLite 3.42. It may be
-- there if another tool has dropped the tables.
--
-- since is UTC. lease_left is in seconds, and 0 if the holder is dead. The slots are those of
-- sqllock/internal/request/slots.go.
DROP VIEW IF EXISTS sqllock_held;
CREATE VIEW sqllock_held AS
SELECT l.name,
       CASE WHEN l.slot = 0 THEN 'lock'
            WHEN l.slot BETWEEN 524288 AND 534287 THEN 'semaphore #' || (l.slot - 524288)
            WHEN l.slot = 1048576 THEN 'rwlock, writer'
            WHEN l.slot = 1048578 THEN 'once'
            WHEN l.slot = 1048579 THEN 'hand-over'
            WHEN l.slot = 1048580 THEN 'quorum'
            WHEN l.slot = 1048584 THEN 'election'
            WHEN l.slot >= 2097152 THEN 'rwlock, reader'
            ELSE 'slot ' || l.slot END AS kind,
       e.holder,
       strftime('%Y-%m-%d %H:%M:%f', l.acquired_at / 1000000.0, 'unixepoch') AS since,
       coalesce(round(max(e.expires_at / 1000000.0 - (julianday('now') - 2440587.5) * 86400.0, 0), 3), 0) AS lease_left,
       (SELECT count(*)
        FROM sqllock_waiters AS w
        JOIN sqllock_leases AS alive ON alive.id = w.lease_id
                                    AND alive.expires_at / 1000000.0 > (julianday('now') - 2440587.5) * 86400.0
        WHERE w.name = l.name
          AND w.slot = CASE WHEN l.slot BETWEEN 524288 AND 534287 THEN 524288
                            WHEN l.slot >= 2097152 THEN 1048576
                            ELSE l.slot END) AS waiters,
       l.fence,
       l.note
FROM sqllock_locks AS l
LEFT JOIN sqllock_leases AS e ON e.id = l.lease_id
WHERE l.lease_id IS NOT NULL;
