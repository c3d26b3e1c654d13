DELETE FROM sqllock_leases
WHERE id = ?1
