-- Why an acquire found nothing to take: no row, a row that it may not take, or one that it may, as last committed.
-- Without a lock, since a guard may be on it.
SELECT (lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)) OR IFNULL(owner = ?, FALSE)
FROM sqllock_locks
WHERE name = ? AND slot = ?
