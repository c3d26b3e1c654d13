-- Who holds which lock, for people with sqlcmd. Who may read the view needs no right on the tables,
-- as long as both have one owner. READUNCOMMITTED: otherwise it would wait for every transaction
-- that guards a lock. A view has to be made in a batch of its own, which EXEC is. It may be there if
-- another tool has dropped the tables.
--
-- since is UTC. lease_left is in seconds, and 0 if the holder is dead. The slots are those of
-- sqllock/internal/request/slots.go.
DROP VIEW IF EXISTS sqllock_held;
EXEC(N'CREATE VIEW sqllock_held AS
SELECT l.name,
       CASE WHEN l.slot = 0 THEN N''lock''
            WHEN l.slot BETWEEN 524288 AND 534287 THEN CONCAT(N''semaphore #'', l.slot - 524288)
            WHEN l.slot = 1048576 THEN N''rwlock, writer''
            WHEN l.slot = 1048578 THEN N''once''
            WHEN l.slot = 1048579 THEN N''hand-over''
            WHEN l.slot = 1048580 THEN N''quorum''
            WHEN l.slot = 1048584 THEN N''election''
            WHEN l.slot >= 2097152 THEN N''rwlock, reader''
            ELSE CONCAT(N''slot '', l.slot) END AS kind,
       e.holder,
       l.acquired_at AS since,
       CAST(CASE WHEN e.expires_at > SYSUTCDATETIME()
                 THEN DATEDIFF_BIG(millisecond, SYSUTCDATETIME(), e.expires_at) / 1000.0
                 ELSE 0 END AS decimal(19, 3)) AS lease_left,
       (SELECT COUNT(*)
        FROM sqllock_waiters AS w WITH (READUNCOMMITTED)
        JOIN sqllock_leases AS alive WITH (READUNCOMMITTED)
          ON alive.id = w.lease_id AND alive.expires_at > SYSUTCDATETIME()
        WHERE w.name = l.name
          AND w.slot = CASE WHEN l.slot BETWEEN 524288 AND 534287 THEN 524288
                            WHEN l.slot >= 2097152 THEN 1048576
                            ELSE l.slot END) AS waiters,
       l.fence,
       l.note
FROM sqllock_locks AS l WITH (READUNCOMMITTED)
LEFT JOIN sqllock_leases AS e WITH (READUNCOMMITTED) ON e.id = l.lease_id
WHERE l.lease_id IS NOT NULL');
