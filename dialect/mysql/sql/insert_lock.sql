-- The first acquisition of a name. The fence starts at the clock, and so above that of a purged
-- row.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
VALUES (?, ?,
        LAST_INSERT_ID(TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))),
        ?, ?, ?,
        UTC_TIMESTAMP(6),
        COALESCE(UTC_TIMESTAMP(6) + INTERVAL NULLIF(?, 0) MICROSECOND, TIMESTAMP'1970-01-01 00:00:00'), ?)
