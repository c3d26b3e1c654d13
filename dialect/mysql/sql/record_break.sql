-- Records a break, in the transaction that frees the lock.
INSERT INTO sqllock_breaks (id, name, slot, kind, fence, holder, note, acquired_at, broken_by, broken_from, reason, broken_at)
VALUES (?, ?, ?, ?, ?, ?, ?, TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? MICROSECOND, ?, ?, ?, UTC_TIMESTAMP(6))
