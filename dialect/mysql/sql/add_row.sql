-- A row for transactions to lock. Slot -1 is out of the way of lease locks: no statement of theirs names it.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
VALUES (?, -1, 0, NULL, NULL, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 0)
