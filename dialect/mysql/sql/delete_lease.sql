DELETE FROM sqllock_leases
WHERE id = ?
