-- A row for transactions to lock. No statement of lease locks names slot -1.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
VALUES (?, -1, 0, NULL, NULL, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 0)
