-- Who holds which lock, for people with psql. Who may read the view needs no right on the tables: it
-- reads them as its owner, and PostgreSQL 14 has no other way. The names of the tables were looked
-- up when it was made, so the reader's search_path doesn't matter.
--
-- lease_left is in seconds, and 0 if the holder is dead. The slots are those of
-- sqllock/internal/request/slots.go.
CREATE VIEW sqllock_held AS
SELECT lock.name,
       CASE WHEN lock.slot = 0 THEN 'lock'
            WHEN lock.slot BETWEEN 524288 AND 534287 THEN 'semaphore #' || (lock.slot - 524288)
            WHEN lock.slot = 1048576 THEN 'rwlock, writer'
            WHEN lock.slot = 1048578 THEN 'once'
            WHEN lock.slot = 1048579 THEN 'hand-over'
            WHEN lock.slot = 1048580 THEN 'quorum'
            WHEN lock.slot = 1048584 THEN 'election'
            WHEN lock.slot >= 2097152 THEN 'rwlock, reader'
            ELSE 'slot ' || lock.slot END AS kind,
       lease.holder,
       lock.acquired_at AS since,
       greatest(round(extract(epoch FROM lease.expires_at - clock_timestamp())::numeric, 3), 0) AS lease_left,
       (SELECT count(*)
        FROM sqllock_waiters AS waiter
        JOIN sqllock_leases AS alive ON alive.id = waiter.lease_id AND alive.expires_at > clock_timestamp()
        WHERE waiter.name = lock.name
          AND waiter.slot = CASE WHEN lock.slot BETWEEN 524288 AND 534287 THEN 524288
                                 WHEN lock.slot >= 2097152 THEN 1048576
                                 ELSE lock.slot END) AS waiters,
       lock.fence,
       lock.note
FROM sqllock_locks AS lock
LEFT JOIN sqllock_leases AS lease ON lease.id = lock.lease_id
WHERE lock.lease_id IS NOT NULL;
