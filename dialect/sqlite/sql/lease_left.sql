-- For a lease that couldn't be buried: it lives, or is gone.
SELECT expires_at - clock()
FROM sqllock_leases
WHERE id = ?1
