-- Why an acquire found nothing to take: no row, a row that it may not take, or one that it may, as
-- last committed. It takes no lock, since a guard may be on the row.
SELECT (lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)) OR IFNULL(owner = ?, FALSE)
FROM sqllock_locks
WHERE name = ? AND slot = ?
