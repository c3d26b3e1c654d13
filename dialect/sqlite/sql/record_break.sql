-- Records a break, in the transaction that frees the lock.
INSERT INTO sqllock_breaks (id, name, slot, kind, fence, holder, note, acquired_at, broken_by, broken_from, reason, broken_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, clock())
