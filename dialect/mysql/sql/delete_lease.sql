-- Deletes a lease, expired or not. That alone releases its locks.
DELETE FROM sqllock_leases
WHERE id = ?
